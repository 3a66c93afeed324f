/**
 * Waits for the event loop's next turn. A promise alone does not: a chain of promises keeps messages, timers
 * and painting waiting, and `setTimeout(0)` costs 4 ms once it is nested.
 */
export function nextTask(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve))
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
