/**
 * Counts the kernels tfjs runs on a backend, to prove which executor did the work: on the plan executor the
 * count stays still. tfjs has no such counter outside its slow profiling mode, so each registered kernel is
 * wrapped once through the public registry.
 */
import * as tf from '@tensorflow/tfjs-core'

const counters = new Map<string, { kernels: number }>()

/** Starts counting on first use for this backend; returns a reader of the count so far. */
export function countKernels(backend: string): () => number {
  let counter = counters.get(backend)
  if (!counter) {
    const started = { kernels: 0 }
    for (const kernel of tf.getKernelsForBackend(backend)) {
      tf.unregisterKernel(kernel.kernelName, backend)
      tf.registerKernel({
        ...kernel,
        kernelFunc: (parameters) => {
          started.kernels++
          return kernel.kernelFunc(parameters)
        },
      })
    }
    counters.set(backend, started)
    counter = started
  }
  const found = counter
  return () => found.kernels
}
