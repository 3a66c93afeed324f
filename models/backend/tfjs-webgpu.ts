/**
 * tfjs's own WebGPU backend under the eager executor, on a device we opened: what the plan executor is compared
 * with. Never chosen for training.
 *
 * tfjs registers a backend with a device of its own at import; registering over it is refused without a word,
 * so the first must be removed, and whose device runs is asserted. It also reads `GPUBufferUsage` and
 * `navigator.gpu` as globals, which in Node the caller provides before this module is imported.
 */

import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import * as tf from '@tensorflow/tfjs-core'
import { DeviceError } from '../errors.ts'
import { createEagerEngine } from './eager-engine.ts'
import type { Engine } from './engine.ts'
import type { GpuDevice } from './gpu-device.ts'
import { startTfjs } from './tfjs-start.ts'

/** Ops recorded before tfjs submits: 500 instead of its 15 nearly halves its cost on the CPU. */
const OPS_A_SUBMIT = 500

/** The engine owns `gpu` from here on. */
export async function createTfjsWebgpuEngine(gpu: GpuDevice): Promise<Engine> {
  tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', OPS_A_SUBMIT)
  await startTfjs('webgpu', async () => {
    // tfjs registers itself only where it sees `navigator.gpu` at import.
    if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu')
    const registered = tf.registerBackend('webgpu', () => new WebGPUBackend(gpu.device, gpu.adapterInfo))
    return registered && (await tf.setBackend('webgpu'))
  })
  if ((tf.backend() as WebGPUBackend).device !== gpu.device) {
    throw new DeviceError(
      'device/backend',
      'tfjs kept a WebGPU device of its own instead of the one it was given.',
    )
  }
  return createEagerEngine({
    backend: 'webgpu',
    device: `${gpu.description}, tfjs`,
    software: gpu.software,
    lost: gpu.lost,
    close() {
      tf.removeBackend('webgpu')
      gpu.close()
    },
  })
}
