/** Which WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE plain tfjs is quickest with here: a fair opponent uses its best. */
import * as tf from '@tensorflow/tfjs-core'
import type { Engine } from '../models/backend/engine.ts'
import type { BenchModel } from './models.ts'
import type { Log } from './run-bench.ts'
import { plainContestant } from './step-contestants.ts'
import { median, workMs } from './timing.ts'

const SIZES = [15, 100, 500] as const

export async function chooseSubmitBatch(engine: Engine, model: BenchModel, log: Log): Promise<number> {
  const plain = await plainContestant(engine, model, { batch: 1, tokens: 64 })
  await plain.step(1)
  const times: Record<number, number[]> = Object.fromEntries(SIZES.map((size) => [size, []]))
  for (let round = 0; round < 3; round++) {
    for (const size of SIZES) {
      tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', size)
      times[size].push(workMs(await plain.step(1), engine.software))
    }
  }
  plain.dispose()
  const best = SIZES.reduce((a, b) => (median(times[b]) < median(times[a]) ? b : a))
  tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', best)
  log(
    `plain tfjs submits every ${best} ops (${SIZES.map((size) => `${size}: ${median(times[size]).toFixed(0)} ms`).join(', ')})`,
  )
  return best
}
