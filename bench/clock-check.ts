/**
 * Whether a lap ends only when the device has finished: four times the runs of a product that is long enough take about four
 * times as long. A clock that stops when work has merely been handed over takes the same time for either.
 */
import type { Engine } from '../models/backend/engine.ts'
import { type Place, placeOf } from './conditions.ts'
import { productCases } from './op-cases.ts'
import { OpTimer } from './op-timer.ts'

export interface ClockCheck extends Place {
  readonly op: string
  readonly shape: string
  readonly runs: number
  /** By the place's clock, the least of three laps each. */
  readonly ms: number
  readonly msOfFourTimesAsMany: number
  readonly ratio: number
}

/** Long beside what starting a lap and waiting for its end costs. */
const LAP_MS = 100
const LAPS = 3
/** What `ratio` may be where the clock is true: noise and what a lap costs by itself move it from 4. */
const TRUE_RATIOS = [2.5, 5.5] as const

export async function checkClock(engine: Engine): Promise<ClockCheck> {
  const [one] = productCases(256)
  const timer = await OpTimer.create(one, engine)
  try {
    const runs = await timer.runsFor(LAP_MS)
    const least = async (count: number) => {
      const times: number[] = []
      for (let lap = 0; lap < LAPS; lap++) times.push(timer.workMs(await timer.lap(count)))
      return Math.min(...times)
    }
    const [ms, msOfFourTimesAsMany] = [await least(runs), await least(4 * runs)]
    const { name: op, shape } = one
    return { ...placeOf(engine), op, shape, runs, ms, msOfFourTimesAsMany, ratio: msOfFourTimesAsMany / ms }
  } finally {
    timer.dispose()
  }
}

/** One sentence where the clock is not to be believed. */
export function clockFault({ executor, device, ratio }: ClockCheck): string | null {
  const [least, most] = TRUE_RATIOS
  if (ratio >= least && ratio <= most) return null
  return `four times the work took ${ratio.toFixed(2)} times as long on ${device} (${executor}): its times do not end with the work`
}
