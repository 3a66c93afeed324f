/** How much ran on which executor, asked of the worker after each job, for `window.oneround`. */
import { counters } from './diagnostics.ts'
import { inWorker } from './worker-client.ts'

export async function refreshCounters(): Promise<void> {
  counters.value = await inWorker((api) => api.counters())
}
