/** The loss of one of the three models on the person's held-out text. */
import { signal } from '@preact/signals'
import type { Which } from '../worker/api.ts'
import { refreshCounters } from './counters.ts'
import { manifest, measured } from './store.ts'
import { callback, inWorker } from './worker-client.ts'

/** One pass over the held-out part, the last time the base model was measured on it; null before. */
export const evaluationSeconds = signal<number | null>(null)

/** Measures once; a value that is there stays until the text or the adapter changes. */
export async function measure(which: Which): Promise<void> {
  const entry = measured[which]
  const room = manifest.peek()
  if (!room || entry.peek().loss !== null) return
  entry.value = { loss: null, counted: 0, fraction: 0 }
  const began = performance.now()
  try {
    const found = await inWorker((api) =>
      api.evaluate(
        which,
        room,
        callback((fraction: number) => {
          if (entry.peek().loss === null) entry.value = { loss: null, counted: 0, fraction }
        }),
      ),
    )
    entry.value = { ...found, fraction: null }
    if (which === 'base') evaluationSeconds.value = (performance.now() - began) / 1000
  } catch (error) {
    entry.value = { loss: null, counted: 0, fraction: null }
    throw error
  }
  await refreshCounters()
}
