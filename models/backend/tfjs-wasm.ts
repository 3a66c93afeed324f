/**
 * Creates tfjs's WebAssembly backend, whose matrix products are XNNPACK's: what runs where there is no GPU.
 *
 * tfjs sizes its thread pool once, as half of `navigator.hardwareConcurrency`, and offers no way to say
 * otherwise (its setThreadsCount must not exceed that pool). Inside a worker the property can be overridden
 * while the backend starts. Threads need a cross-origin isolated page; in Node there is one thread.
 */

import { getThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'
import { createEagerEngine } from './eager-engine.ts'
import type { Engine } from './engine.ts'
import { never, startTfjs } from './tfjs-start.ts'
import { installWasmKernels } from './tfjs-wasm-kernels.ts'

/** More threads than this make tfjs's products slower, not faster: they are too small to be cut further. */
const MAX_THREADS = 4

/** `wasmPath` is where tfjs's three .wasm files lie, with a slash at its end; Node finds them itself. */
export async function createWasmEngine(wasmPath?: string): Promise<Engine> {
  if (!tf.engine().registry.wasm) {
    if (wasmPath !== undefined) setWasmPaths(wasmPath)
    await withoutCrashHandlers(() => withConcurrency(() => startTfjs('wasm', () => tf.setBackend('wasm'))))
    installWasmKernels()
  } else {
    await startTfjs('wasm', () => tf.setBackend('wasm'))
  }
  const threads = Math.max(1, getThreadsCount())
  return createEagerEngine({
    backend: 'wasm',
    device: `this computer's processor (wasm, ${threads} ${threads === 1 ? 'thread' : 'threads'})`,
    software: false,
    lost: never,
    packing: { release: releaseNumbers },
  })
}

/** tfjs frees what is at the offset when it disposes of a tensor; there is nothing at 0. */
function releaseNumbers(tensor: tf.Tensor): void {
  const { dataIdMap, wasm } = tf.backend() as unknown as WasmHeap
  const data = dataIdMap.get(tensor.dataId)
  if (!data.memoryOffset) return
  wasm._free(data.memoryOffset)
  data.memoryOffset = 0
}

/** What tfjs-wasm's backend has and does not declare. */
interface WasmHeap {
  readonly dataIdMap: { get(dataId: object): { memoryOffset: number | null } }
  readonly wasm: { _free(offset: number): void }
}

/**
 * One core is left to the page and whatever else runs: a product ends with its slowest thread, and the others wait for it
 * without sleeping. On two cores a second thread gained 10 to 20 % where nothing else ran, and cost 60 % beside one other
 * busy process (docs/benchmarks.md).
 */
export const threadsFor = (cores: number) => Math.max(1, Math.min(MAX_THREADS, cores - 1))

/** Runs `start` while the worker's navigator claims twice the threads that there shall be: tfjs takes half. */
async function withConcurrency(start: () => Promise<void>): Promise<void> {
  if (typeof WorkerGlobalScope === 'undefined') return start()
  const threads = threadsFor(navigator.hardwareConcurrency || 1)
  Object.defineProperty(navigator, 'hardwareConcurrency', { value: threads * 2, configurable: true })
  try {
    await start()
  } finally {
    Reflect.deleteProperty(navigator, 'hardwareConcurrency')
  }
}

/**
 * Runs `start` and takes away the handlers that Emscripten's loader leaves on Node's process: they throw every
 * unhandled rejection again, over the head of whoever handles them.
 */
async function withoutCrashHandlers(start: () => Promise<void>): Promise<void> {
  if (typeof process === 'undefined' || typeof process.listeners !== 'function') return start()
  const events = ['uncaughtException', 'unhandledRejection'] as const
  const before = events.map((event) => new Set<unknown>(process.listeners(event as 'uncaughtException')))
  try {
    await start()
  } finally {
    events.forEach((event, i) => {
      for (const listener of process.listeners(event as 'uncaughtException')) {
        if (!before[i].has(listener)) process.removeListener(event, listener)
      }
    })
  }
}

declare const WorkerGlobalScope: unknown
