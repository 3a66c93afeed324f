/** Each op of a SmolLM2 step: as tfjs ops on the same adapter (eager), and in the plan, with its share of the peak. */
import type { Section } from '../agenda.ts'
import { type ClockCheck, checkClock, clockFault } from '../clock-check.ts'
import type { WebgpuPair } from '../devices.ts'
import { type OpCase, otherCases, productCases } from '../op-cases.ts'
import { type OpTime, timeOp } from '../op-timer.ts'
import { measurePeaks, type Peaks } from '../peaks.ts'
import { type Share, shareOfPeak } from '../roofline.ts'
import { type BenchContext, NO_WEBGPU } from '../section.ts'
import { workMs } from '../timing.ts'

export interface OpResult {
  readonly op: string
  readonly shape: string
  /** Products alone. */
  readonly flops: number
  /** Moved at least. */
  readonly bytes: number
  readonly eager: TimedOp
  readonly plan: TimedOp
  /** How many times less time the plan takes, by its clock. */
  readonly ratio: number
}

interface TimedOp extends OpTime {
  readonly peak: Share
}

export interface OpsReport {
  readonly peaks: Peaks | null
  /** Of both engines: their times end with the work. */
  readonly clocks: readonly ClockCheck[]
  readonly results: readonly OpResult[]
}

const BUDGET_MS = 1000
const ROWS = 64

export function opsSection(context: BenchContext): Section {
  const { webgpu, found, faults, log } = context
  if (!webgpu) return { parts: [], report: () => NO_WEBGPU }
  const clocks: ClockCheck[] = []
  const results: OpResult[] = []
  const believe = async () => {
    found.peaks ??= await measurePeaks(webgpu, log)
    for (const engine of [webgpu.plan, webgpu.plain]) {
      const check = await checkClock(engine)
      log(`ops: four times the work takes ${check.ratio.toFixed(2)} times as long (${engine.executor})`)
      clocks.push(check)
      const fault = clockFault(check)
      if (fault) faults.push(fault)
    }
  }
  return {
    parts: [
      { name: 'whether the clocks are true', seconds: found.peaks ? 20 : 40, run: believe },
      ...[...productCases(ROWS), ...otherCases(ROWS)].map((one) => ({
        name: `${one.name}, ${one.shape}`,
        seconds: one.seconds,
        run: async () => {
          results.push(await timeBoth(one, webgpu, context))
        },
      })),
    ],
    report: (): OpsReport => ({ peaks: found.peaks ?? null, clocks, results }),
  }
}

async function timeBoth(
  one: OpCase,
  { plan, plain, software }: WebgpuPair,
  { found, faults, log }: BenchContext,
): Promise<OpResult> {
  const peaks = found.peaks
  if (!peaks) throw new Error('the peaks could not be measured')
  const timed = (time: OpTime): TimedOp => {
    const peak = shareOfPeak(one, workMs(time, software), peaks)
    const { share, bound } = peak
    if (share > 1) {
      faults.push(
        `${one.name} (${one.shape}, ${time.executor}) would have ${(100 * share).toFixed(0)} % of the ${bound} peak: its time is too short to be the work`,
      )
    }
    return { ...time, peak }
  }
  const result = {
    plan: timed(await timeOp(one, plan, BUDGET_MS)),
    eager: timed(await timeOp(one, plain, BUDGET_MS)),
  }
  const ratio = workMs(result.eager, software) / workMs(result.plan, software)
  log(
    `ops: ${one.name} ${one.shape}: eager ${result.eager.wallMs.toFixed(2)} ms, plan ${result.plan.wallMs.toFixed(2)} ms, ${ratio.toFixed(1)} x, ${(100 * result.plan.peak.share).toFixed(0)} % of the ${result.plan.peak.bound} peak`,
  )
  const { name: op, shape, flops, bytes } = one
  return { op, shape, flops, bytes, ...result, ratio }
}
