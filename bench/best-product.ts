/**
 * The fastest product of an engine on its device, over the shapes of SmolLM2: what a whole step is measured by. A machine's
 * speed drifts with its load, so after it has been found it is timed again right before and after what is compared with it.
 */
import type { Engine } from '../models/backend/engine.ts'
import { type Place, placeOf } from './conditions.ts'
import { productCases } from './op-cases.ts'
import { OpTimer } from './op-timer.ts'
import type { Log } from './run-bench.ts'

const BUDGET_MS = 300
/** The quickest are timed again: on a busy machine the quickest of many short times is partly luck. */
const AGAIN = 3
const AGAIN_MS = 1000
/** Of a block that is timed beside something else: so much of its time, within these. */
const BLOCK_SHARE = 0.15
const LEAST_BLOCK_MS = 200
const MOST_BLOCK_MS = 2000

export interface BestProductResult extends Place {
  readonly op: string
  readonly shape: string
  readonly gflops: number
}

export interface BestProduct {
  readonly found: BestProductResult
  /** Its GFLOP/s at this moment, by the place's clock, over a block that suits work of so many milliseconds beside it. */
  beside(workMs: number): Promise<number>
  dispose(): void
}

export async function findBestProduct(engine: Engine, log: Log): Promise<BestProduct> {
  const candidates: { timer: OpTimer; gflops: number }[] = []
  const bestFirst = () => candidates.sort((a, b) => b.gflops - a.gflops)
  for (const one of [...productCases(64), ...productCases(256)]) {
    const timer = await OpTimer.create(one, engine)
    candidates.push({ timer, gflops: (await timer.time(BUDGET_MS)).gflops })
  }
  for (const { timer } of bestFirst().splice(AGAIN)) timer.dispose()
  for (const candidate of candidates) {
    candidate.gflops = (await candidate.timer.time(AGAIN_MS)).gflops
    const { name, shape } = candidate.timer.case
    log(`best products on ${engine.device}: ${name} ${shape}: ${candidate.gflops.toFixed(2)} GFLOP/s`)
  }
  for (const { timer } of bestFirst().splice(1)) timer.dispose()
  const [{ timer, gflops }] = candidates
  const runs = await timer.runsFor(LEAST_BLOCK_MS)
  const { name: op, shape, flops } = timer.case
  return {
    found: { ...placeOf(engine), op, shape, gflops },
    async beside(workMs) {
      const blockMs = Math.min(MOST_BLOCK_MS, Math.max(LEAST_BLOCK_MS, BLOCK_SHARE * workMs))
      const laps = Math.round(blockMs / LEAST_BLOCK_MS)
      return (laps * runs * flops) / timer.workMs(await timer.lap(laps * runs)) / 1e6
    },
    dispose: timer.dispose,
  }
}
