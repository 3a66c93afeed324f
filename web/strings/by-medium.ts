/**
 * Words that differ between a room that trains on text and one that trains on pictures. Whoever reads one while it draws is drawn
 * again when the room changes, as with any signal.
 */
import { drawsPictures } from '../state/medium.ts'

export function byMedium<Words extends object>(text: Words, pictures: Partial<Words>): Words {
  return new Proxy(text, {
    get: (words, key, receiver) =>
      Reflect.get(drawsPictures.value && Object.hasOwn(pictures, key) ? pictures : words, key, receiver),
  })
}
