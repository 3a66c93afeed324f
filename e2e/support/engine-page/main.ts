/** The page of the engine tests: starts a worker, where models run, and lets the test ask it. */
import { wrap } from 'comlink'
import type { EngineWorker } from './worker.ts'

declare global {
  interface Window {
    engineWorker: EngineWorker
  }
}

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
// A worker that ends by itself answers nothing: the page's errors are what the test then shows.
worker.addEventListener('error', (event) => {
  throw new Error(`the worker ended: ${event.message}`)
})
window.engineWorker = wrap<EngineWorker>(worker)
