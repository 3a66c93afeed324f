/**
 * Words that differ between a room that trains on text and one that trains on pictures. Whoever reads one while it draws is drawn
 * again when the room changes, as with any signal. The host's console has a room of its own at hand.
 */
import type { ReadonlySignal } from '@preact/signals'
import { drawsPictures } from '../state/medium.ts'

export function byMedium<Words extends object>(
  text: Words,
  pictures: Partial<Words>,
  draws: ReadonlySignal<boolean> = drawsPictures,
): Words {
  return new Proxy(text, {
    get: (words, key, receiver) =>
      Reflect.get(draws.value && Object.hasOwn(pictures, key) ? pictures : words, key, receiver),
  })
}
