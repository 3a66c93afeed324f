/**
 * One op as a program of its own, replayed until its time is known. A lap is as many runs as make it long enough, and one wait
 * at its end until the device has done them all: short ops are timed as they follow one another in a step, and not the wait.
 */
import type { Engine } from '../models/backend/engine.ts'
import { onProcessor, type Place, placeOf } from './conditions.ts'
import type { OpCase } from './op-cases.ts'
import { type Lap, medianLap, startClocks, workMs } from './timing.ts'

export interface OpTime extends Lap, Place {
  /** Runs that were timed: laps times the runs in a lap. */
  readonly runs: number
  /** By the place's clock. */
  readonly gflops: number
  readonly gigabytesPerSecond: number
}

/** A lap is at least this long: what waiting for the device costs is a few in a hundred of it. */
const LAP_MS = 30
const MOST_RUNS_A_LAP = 1024
const LEAST_LAPS = 3
const MOST_LAPS = 30

export class OpTimer {
  readonly case: OpCase
  readonly engine: Engine
  /** The sum of both clocks over `runs` runs, until the device has finished. */
  readonly lap: (runs: number) => Promise<Lap>
  readonly dispose: () => void

  private constructor(one: OpCase, engine: Engine, run: () => Promise<unknown>, dispose: () => void) {
    this.case = one
    this.engine = engine
    this.dispose = dispose
    this.lap = async (runs) => {
      const read = startClocks()
      for (let at = 0; at < runs; at++) await run()
      await engine.finish()
      return read()
    }
  }

  static async create(one: OpCase, engine: Engine): Promise<OpTimer> {
    // Makes the engine's backend tfjs's current one before constants are made.
    await engine.finish()
    const { specs, inputs, body, dispose } = one.prepare(engine)
    // The plan keeps what leads to a named output, and nothing is copied back.
    const program = await engine.program('bench', specs, body)
    return new OpTimer(
      one,
      engine,
      () => program.run(inputs),
      () => {
        program.dispose()
        dispose()
      },
    )
  }

  /** By the clock that fits the engine. */
  workMs(lap: Lap): number {
    return workMs(lap, onProcessor(this.engine))
  }

  /** Runs that make a lap of so many milliseconds by the wall; compiles first. */
  async runsFor(lapMs: number): Promise<number> {
    await this.lap(1)
    let runs = 1
    while (runs < MOST_RUNS_A_LAP && (await this.lap(runs)).wallMs < lapMs) runs *= 2
    return runs
  }

  async time(budgetMs: number): Promise<OpTime> {
    const runs = await this.runsFor(LAP_MS)
    const laps: Lap[] = []
    const begun = performance.now()
    while (laps.length < LEAST_LAPS || (laps.length < MOST_LAPS && performance.now() - begun < budgetMs))
      laps.push(await this.lap(runs))
    const { wallMs, cpuMs } = medianLap(laps)
    const one: Lap = { wallMs: wallMs / runs, cpuMs: cpuMs / runs }
    const ms = this.workMs(one)
    return {
      ...placeOf(this.engine),
      ...one,
      runs: laps.length * runs,
      gflops: this.case.flops / ms / 1e6,
      gigabytesPerSecond: this.case.bytes / ms / 1e6,
    }
  }
}

export async function timeOp(one: OpCase, engine: Engine, budgetMs: number): Promise<OpTime> {
  const timer = await OpTimer.create(one, engine)
  try {
    return await timer.time(budgetMs)
  } finally {
    timer.dispose()
  }
}
