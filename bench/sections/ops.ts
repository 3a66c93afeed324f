/** Each op of a SmolLM2 step: as tfjs ops on the same adapter (eager), and in the plan, with its share of the peak. */

import { bestMatmul } from '../best-matmul.ts'
import { type OpCase, otherCases, productCases } from '../op-cases.ts'
import type { BenchContext, Skipped } from '../section.ts'
import { type OpTime, timeOp } from '../time-op.ts'
import { workMs } from '../timing.ts'

export interface OpResult {
  readonly op: string
  readonly shape: string
  readonly eager: OpTime
  readonly plan: OpTime
  /** How many times less time the plan takes: processor time on a software adapter. */
  readonly ratio: number
  /** Of the device's multiply-add peak, or of its bandwidth for ops that do no products; null where it was not measured. */
  readonly shareOfPeak: number | null
  readonly peak: 'multiply-add' | 'bandwidth'
}

export interface OpsReport {
  readonly bestMatmulGflops: number
  readonly results: readonly OpResult[]
}

const BUDGET_MS = 1000
const ROWS = 64

export async function benchOps(context: BenchContext): Promise<OpsReport | Skipped> {
  const { webgpu, log, found } = context
  if (!webgpu) return { skipped: 'no WebGPU adapter' }
  const results: OpResult[] = []
  for (const one of [...productCases(ROWS), ...otherCases(ROWS)]) {
    const plan = await timeOp(one, webgpu.plan, BUDGET_MS)
    const eager = await timeOp(one, webgpu.plain, BUDGET_MS)
    const result = compare(one, eager, plan, context)
    log(
      `ops: ${one.name} ${one.shape}: eager ${eager.wallMs.toFixed(1)} ms, plan ${plan.wallMs.toFixed(1)} ms, ${result.ratio.toFixed(1)} x`,
    )
    results.push(result)
  }
  found.bestMatmulGflops ??= await bestMatmul(webgpu.plan, context)
  return { bestMatmulGflops: found.bestMatmulGflops, results }
}

function compare(
  { name, shape, flops }: OpCase,
  eager: OpTime,
  plan: OpTime,
  { found, webgpu }: BenchContext,
): OpResult {
  const peak = flops > 0 ? 'multiply-add' : 'bandwidth'
  const most = peak === 'multiply-add' ? found.peakFmaGflops : found.bandwidthGBs
  const reached = peak === 'multiply-add' ? plan.gflops : plan.gigabytesPerSecond
  return {
    op: name,
    shape,
    eager,
    plan,
    ratio: workMs(eager, webgpu!.software) / workMs(plan, webgpu!.software),
    shareOfPeak: most === undefined ? null : reached / most,
    peak,
  }
}
