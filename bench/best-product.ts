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
/** Of a block that is timed beside something else. */
const BLOCK_MS = 200

export interface BestProductResult extends Place {
  readonly op: string
  readonly shape: string
  readonly gflops: number
}

export interface BestProduct {
  readonly found: BestProductResult
  /** Its GFLOP/s at this moment, by the place's clock. */
  now(): Promise<number>
  dispose(): void
}

export async function findBestProduct(engine: Engine, log: Log): Promise<BestProduct> {
  let best: { timer: OpTimer; gflops: number } | null = null
  for (const one of [...productCases(64), ...productCases(256)]) {
    const timer = await OpTimer.create(one, engine)
    const { gflops } = await timer.time(BUDGET_MS)
    log(`best product on ${engine.device}: ${one.name} ${one.shape}: ${gflops.toFixed(2)} GFLOP/s`)
    if (best === null || gflops > best.gflops) {
      best?.timer.dispose()
      best = { timer, gflops }
    } else timer.dispose()
  }
  const { timer, gflops } = best!
  const runs = await timer.runsFor(BLOCK_MS)
  const { name: op, shape, flops } = timer.case
  return {
    found: { ...placeOf(engine), op, shape, gflops },
    now: async () => (runs * flops) / timer.workMs(await timer.lap(runs)) / 1e6,
    dispose: timer.dispose,
  }
}
