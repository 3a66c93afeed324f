/** One op as a program of its own, replayed until its time is known. */
import type { Engine } from '../models/backend/engine.ts'
import type { OpCase } from './op-cases.ts'
import { type Lap, medianLap, timed, workMs } from './timing.ts'

export interface OpTime extends Lap {
  readonly runs: number
  /** By the processor's clock on a software adapter. */
  readonly gflops: number
  readonly gigabytesPerSecond: number
}

export async function timeOp(one: OpCase, engine: Engine, budgetMs: number): Promise<OpTime> {
  // Makes the engine's backend the current one before constants are made.
  await engine.finish()
  const { specs, inputs, body, dispose } = one.prepare(engine)
  // The plan keeps what leads to a named output, and nothing is copied back.
  const program = await engine.program('bench', specs, body)
  try {
    const laps = await timed(
      async () => {
        await program.run(inputs)
        await engine.finish()
      },
      { warmUp: 1, least: 3, most: 30, budgetMs },
    )
    const lap = medianLap(laps)
    const ms = workMs(lap, engine.software)
    return {
      ...lap,
      runs: laps.length,
      gflops: one.flops / ms / 1e6,
      gigabytesPerSecond: one.bytes / ms / 1e6,
    }
  } finally {
    program.dispose()
    dispose()
  }
}
