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
  /** By the place's clock, of the pair whose ratio it is: so many runs, and right after them four times as many. */
  readonly ms: number
  readonly msOfFourTimesAsMany: number
  /** The median of a few pairs. */
  readonly ratio: number
  /** More than one where other work on the machine came between: a clock that does not wait fails each. */
  readonly tries: number
}

/** Long beside what starting a lap and waiting for its end costs. */
const LAP_MS = 100
const PAIRS = 5
const MOST_TRIES = 4
/** What `ratio` may be where the clock is true: noise and what a lap costs by itself move it from 4. */
const TRUE_RATIOS = [2.5, 5.5] as const

const isTrue = (ratio: number) => ratio >= TRUE_RATIOS[0] && ratio <= TRUE_RATIOS[1]

export async function checkClock(engine: Engine): Promise<ClockCheck> {
  const [one] = productCases(256)
  const timer = await OpTimer.create(one, engine)
  const { name: op, shape } = one
  const place = placeOf(engine)
  try {
    for (let tries = 1; ; tries++) {
      const runs = await timer.runsFor(LAP_MS)
      const pairs: Pick<ClockCheck, 'ms' | 'msOfFourTimesAsMany' | 'ratio'>[] = []
      for (let pair = 0; pair < PAIRS; pair++) {
        const ms = timer.workMs(await timer.lap(runs))
        const msOfFourTimesAsMany = timer.workMs(await timer.lap(4 * runs))
        pairs.push({ ms, msOfFourTimesAsMany, ratio: msOfFourTimesAsMany / ms })
      }
      const middle = pairs.sort((a, b) => a.ratio - b.ratio)[(PAIRS - 1) / 2]
      if (isTrue(middle.ratio) || tries === MOST_TRIES) return { ...place, op, shape, runs, ...middle, tries }
    }
  } finally {
    timer.dispose()
  }
}

/** One sentence where the clock is not to be believed. */
export function clockFault({ executor, device, ratio }: ClockCheck): string | null {
  if (isTrue(ratio)) return null
  return `four times the work took ${ratio.toFixed(2)} times as long on ${device} (${executor}): its times do not end with the work`
}
