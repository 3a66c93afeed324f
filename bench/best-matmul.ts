/** The fastest product of this engine on this adapter, over the shapes of SmolLM2: what a whole step is measured by. */
import type { Engine } from '../models/backend/engine.ts'
import { productCases } from './op-cases.ts'
import type { BenchContext } from './section.ts'
import { timeOp } from './time-op.ts'

const BUDGET_MS = 500

export async function bestMatmul(engine: Engine, { log }: BenchContext): Promise<number> {
  let best = 0
  for (const one of [...productCases(64), ...productCases(256)]) {
    const { gflops } = await timeOp(one, engine, BUDGET_MS)
    log(`best product: ${one.name} ${one.shape}: ${gflops.toFixed(2)} GFLOP/s`)
    best = Math.max(best, gflops)
  }
  return best
}
