/**
 * A LoRA training step (r 8, all seven projections) on each engine and, on the same adapter, as plain tfjs ops with
 * tf.grads. Contestants take turns, so that a machine whose speed drifts treats them alike, and their first losses are
 * compared: it must be the same work.
 */
import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { bestMatmul } from '../best-matmul.ts'
import { trainingStepFlops } from '../counts.ts'
import { type BenchModel, smolLm2Layers, smolLm2Model, tinyModel } from '../models.ts'
import type { BenchContext } from '../section.ts'
import { type Contestant, ownContestant, plainContestant, RANK, type Reading } from '../step-contestants.ts'
import { chooseSubmitBatch } from '../submit-batch.ts'
import { median, medianLap, workMs } from '../timing.ts'

export interface StepResult {
  readonly model: string
  readonly batch: number
  readonly tokens: number
  readonly contestant: string
  readonly device: string
  /** Timed, after one that compiles kernels. */
  readonly steps: number
  readonly tokensPerSecond: number
  readonly stepMs: number
  /** The same by processor time, all threads. */
  readonly tokensPerCpuSecond: number
  readonly stepCpuMs: number
  readonly firstStepMs: number
  readonly firstLoss: number
  readonly lastLoss: number
  /** Of one step, by its shape; `performed` has each block's second forward. */
  readonly neededFlops: number
  readonly performedFlops: number
  /** By processor time on a software adapter and on wasm. */
  readonly performedGflops: number
  /** Of this engine's own best product on this adapter. */
  readonly shareOfBestMatmul: number | null
  /** Dispatches of the plan; kernels of tfjs. */
  readonly dispatches: number
  /** Everything the step needs beside the weights, as the plan laid it out. */
  readonly planBytes: number | null
  /** Null on wasm, where the host is the device. */
  readonly host: null | {
    readonly microsecondsPerDispatch: number
    readonly encodeMs: number
    readonly submitMs: number
    readonly completionMs: number
    /** Of the step's time during which the host was at work. */
    readonly share: number
  }
}

export interface StepReport {
  /** WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE that plain tfjs was quickest with, on the small model. */
  readonly submitBatch: number | null
  readonly bestMatmulGflops: number | null
  readonly results: readonly StepResult[]
  /** This engine's tokens/s over plain tfjs's on the same adapter or backend, by shape and by both clocks. */
  readonly againstPlain: Readonly<Record<string, { readonly byWall: number; readonly byCpu: number }>>
}

/** By what --shapes takes. */
export const SHAPES = ['tiny', '2layers', '1x64', '1x256'] as const

export type ShapeLabel = (typeof SHAPES)[number]

function casesOf({ smolLm2, webgpu, shapes }: BenchContext, tiny: BenchModel): Case[] {
  const cases: Case[] = [{ label: 'tiny', model: tiny, batch: 4, tokens: 128, wasm: 'both', plain: true }]
  if (smolLm2) {
    const model = smolLm2Model(smolLm2)
    const plain = webgpu?.software === false
    // Only where it is asked for: the whole says more.
    if (shapes !== null)
      cases.push({
        ...{ label: '2layers', model: smolLm2Layers(smolLm2, 2), batch: 1, tokens: 64 },
        ...{ wasm: 'both', plain: true },
      })
    cases.push({ label: '1x64', model, batch: 1, tokens: 64, wasm: 'own', plain: true })
    // Plain tfjs would take half an hour there on a software adapter.
    cases.push({ label: '1x256', model, batch: 1, tokens: 256, wasm: 'none', plain })
  }
  return cases
}

interface Case {
  readonly label: ShapeLabel
  readonly model: BenchModel
  readonly batch: number
  readonly tokens: number
  readonly wasm: 'both' | 'own' | 'none'
  readonly plain: boolean
}

export async function benchSteps(context: BenchContext): Promise<StepReport> {
  const { webgpu, log, found, shapes } = context
  const tiny = await tinyModel()
  const cases = casesOf(context, tiny).filter(({ label }) => shapes === null || shapes.includes(label))
  const submitBatch = webgpu ? await chooseSubmitBatch(webgpu.plain, tiny, log) : null
  if (webgpu) found.bestMatmulGflops ??= await bestMatmul(webgpu.plan, context)
  const results: StepResult[] = []
  for (const one of cases) results.push(...(await race(one, context)))
  const againstPlain: Record<string, { byWall: number; byCpu: number }> = {}
  for (const { model, batch, tokens, contestant, device, stepMs, stepCpuMs } of results) {
    if (contestant !== PLAIN) continue
    const own = results.find(
      (other) =>
        other.contestant !== PLAIN &&
        other.model === model &&
        other.batch === batch &&
        other.tokens === tokens &&
        onWasm(other.device) === onWasm(device),
    )
    if (own) {
      const where = onWasm(device) ? 'wasm' : 'webgpu'
      againstPlain[`${model} ${batch}x${tokens} ${where}`] = {
        byWall: stepMs / own.stepMs,
        byCpu: stepCpuMs / own.stepCpuMs,
      }
    }
  }
  return { submitBatch, bestMatmulGflops: found.bestMatmulGflops ?? null, results, againstPlain }
}

const PLAIN = 'plain tfjs (tf.grads)'

const onWasm = (device: string) => device.includes('wasm')

async function race(one: Case, context: BenchContext): Promise<StepResult[]> {
  const { webgpu, wasm } = context
  const results: StepResult[] = []
  if (webgpu) {
    results.push(
      ...(await take(one, context, [
        () => ownContestant(webgpu.plan, one.model, one, webgpu.planMeter),
        ...(one.plain ? [() => plainContestant(webgpu.plain, one.model, one, webgpu.plainMeter)] : []),
      ])),
    )
  }
  if (wasm && one.wasm !== 'none') {
    const engine: Engine = await createNodeEngine({ backend: 'wasm' })
    results.push(
      ...(await take(one, context, [
        () => ownContestant(engine, one.model, one),
        ...(one.wasm === 'both' ? [() => plainContestant(engine, one.model, one)] : []),
      ])),
    )
    await engine.dispose()
  }
  return results
}

async function take(
  { model, batch, tokens }: Case,
  { log, seconds, found }: BenchContext,
  makers: ReadonlyArray<() => Promise<Contestant>>,
): Promise<StepResult[]> {
  const contestants: Contestant[] = []
  for (const make of makers) contestants.push(await make())
  const readings: Reading[][] = contestants.map(() => [])
  const begun = performance.now()
  const mostMs = seconds * 1000 * contestants.length
  // One step each that compiles, then at least one and at most five.
  for (let round = 0; round < 6 && (round < 2 || performance.now() - begun < mostMs); round++) {
    for (const [which, contestant] of contestants.entries()) {
      const reading = await contestant.step(round + 1)
      readings[which].push(reading)
      log(
        `step: ${model.name} ${batch}x${tokens}, ${contestant.name} on ${contestant.device}: ${reading.wallMs.toFixed(0)} ms, processor ${reading.cpuMs.toFixed(0)} ms${round === 0 ? ' (first)' : ''}`,
      )
    }
  }
  const flops = trainingStepFlops(model.config, { batch, tokens, rank: RANK })
  const results = contestants.map((contestant, which): StepResult => {
    const [first, ...rest] = readings[which]
    const of = (pick: (reading: Reading) => number) => median(rest.map(pick))
    const lap = medianLap(rest)
    const { wallMs: stepMs, cpuMs: stepCpuMs } = lap
    const onProcessor = contestant.engine.software || contestant.engine.backend === 'wasm'
    const hostMs = of((reading) => reading.hostMs)
    const submitMs = of((reading) => reading.submitMs)
    const dispatches = of((reading) => reading.dispatches)
    const gflops = flops.performed / workMs(lap, onProcessor) / 1e6
    const best = contestant.engine.executor === 'plan' ? found.bestMatmulGflops : undefined
    return {
      model: model.name,
      batch,
      tokens,
      contestant: contestant.name,
      device: contestant.device,
      steps: rest.length,
      tokensPerSecond: (batch * tokens * 1000) / stepMs,
      stepMs,
      tokensPerCpuSecond: (batch * tokens * 1000) / stepCpuMs,
      stepCpuMs,
      firstStepMs: first.wallMs,
      firstLoss: first.loss,
      lastLoss: rest.at(-1)!.loss,
      neededFlops: flops.needed,
      performedFlops: flops.performed,
      performedGflops: gflops,
      shareOfBestMatmul: best === undefined ? null : gflops / best,
      dispatches,
      planBytes: contestant.planBytes,
      host:
        contestant.engine.backend === 'wasm'
          ? null
          : {
              microsecondsPerDispatch: dispatches > 0 ? (hostMs * 1000) / dispatches : 0,
              encodeMs: hostMs - submitMs,
              submitMs,
              completionMs: Math.max(0, stepMs - hostMs),
              share: hostMs / stepMs,
            },
    }
  })
  for (const contestant of contestants) contestant.dispose()
  for (const { contestant, firstLoss } of results) {
    if (!(Math.abs(firstLoss - results[0].firstLoss) <= 1e-3)) {
      throw new Error(
        `${contestant} starts at a loss of ${firstLoss}, not ${results[0].firstLoss}: not the same work`,
      )
    }
  }
  return results
}
