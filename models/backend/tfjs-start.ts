/** What starting any tfjs backend has in common. */
import * as tf from '@tensorflow/tfjs-core'
import { DeviceError } from '../errors.ts'
import type { BackendName } from './engine.ts'

/** The `lost` of a device that cannot be lost. */
export const never: Promise<string> = new Promise(() => {})

/**
 * Makes a tfjs backend current, creating it if need be. Throws DeviceError `device/backend` where it does not
 * start or where tfjs silently takes another one.
 */
export async function startTfjs(backend: BackendName, start: () => Promise<boolean>): Promise<void> {
  // Without it, tfjs advertises its native Node binding on stderr at the first tensor.
  tf.env().set('PROD', true)
  let started = false
  let reason = ''
  try {
    started = await start()
  } catch (cause) {
    reason = `: ${cause instanceof Error ? cause.message : String(cause)}`
  }
  if (!started || tf.getBackend() !== backend) {
    throw new DeviceError(
      'device/backend',
      `The ${backend} backend does not start here${reason}; choose another one with --backend or ?backend=.`,
    )
  }
}
