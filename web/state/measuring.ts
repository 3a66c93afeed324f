/** The loss of one of the three models on the person's held-out text. */
import type { Which } from '../worker/api.ts'
import { refreshCounters } from './counters.ts'
import { manifest, measured } from './store.ts'
import { callback, inWorker } from './worker-client.ts'

/** Measures once; a value that is there stays until the text or the adapter changes. */
export async function measure(which: Which): Promise<void> {
  const entry = measured[which]
  const room = manifest.peek()
  if (!room || entry.peek().loss !== null) return
  entry.value = { loss: null, counted: 0, fraction: 0 }
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
  } catch (error) {
    entry.value = { loss: null, counted: 0, fraction: null }
    throw error
  }
  await refreshCounters()
}
