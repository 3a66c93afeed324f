/** Creates tfjs's plain JavaScript backend: about 1 GFLOP/s, there for comparison and as the last resort. */
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { createEagerEngine } from './eager-engine.ts'
import type { Engine } from './engine.ts'
import { never, startTfjs } from './tfjs-start.ts'

export async function createCpuEngine(): Promise<Engine> {
  await startTfjs('cpu', () => tf.setBackend('cpu'))
  return createEagerEngine({
    backend: 'cpu',
    device: "this computer's processor (plain JavaScript)",
    software: false,
    lost: never,
  })
}
