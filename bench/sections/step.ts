/**
 * A LoRA training step (r 8, all seven projections) on each engine and, on the same adapter, as plain tfjs ops with
 * tf.grads. Contestants take turns, and are compared within a round; before and after each timed step the engine's best
 * product is timed anew, and the step's speed is told as a share of what the device could do at that moment. The first
 * losses are compared: it must be the same work.
 */
import { createNodeEngine } from '../../models/backend/node.ts'
import type { Part, Section } from '../agenda.ts'
import { type BestProduct, type BestProductResult, findBestProduct } from '../best-product.ts'
import { onProcessor, type Place } from '../conditions.ts'
import { trainingStepFlops } from '../counts.ts'
import { type BenchModel, smolLm2Layers, smolLm2Model, tinyModel } from '../models.ts'
import type { BenchContext } from '../section.ts'
import { type Contestant, ownContestant, plainContestant, RANK, type Reading } from '../step-contestants.ts'
import { chooseSubmitBatch } from '../submit-batch.ts'
import { median, medianLap, type Spread, spread, workMs } from '../timing.ts'
import { takeTurns } from '../turns.ts'

export interface StepResult extends Place {
  readonly model: string
  readonly batch: number
  readonly tokens: number
  readonly contestant: string
  /** Timed, after one that compiles kernels. */
  readonly steps: number
  readonly tokensPerSecond: number
  readonly stepMs: Spread
  /** The same by processor time, all threads. */
  readonly tokensPerCpuSecond: number
  readonly stepCpuMs: Spread
  readonly firstStepMs: number
  readonly firstLoss: number
  readonly lastLoss: number
  /** Of one step, by its shape; `performed` has each block's second forward. */
  readonly neededFlops: number
  readonly performedFlops: number
  /** By the place's clock. */
  readonly performedGflops: number
  /** Of the engine's best product on this device, timed before and after each step; null where there is none. */
  readonly shareOfBestProduct: Spread | null
  /** The best product's GFLOP/s around the steps. */
  readonly productGflops: Spread | null
  /** The fastest step's speed over the fastest time of the product: what other work on the machine has disturbed least. */
  readonly shareAtBest: number | null
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

/** How many times less time this engine takes than plain tfjs on the same adapter or backend, round by round. */
export interface AgainstPlain {
  readonly byWall: Spread
  readonly byCpu: Spread
}

export interface StepReport {
  /** WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE that plain tfjs was quickest with, on the small model. */
  readonly submitBatch: number | null
  readonly bestProducts: readonly BestProductResult[]
  readonly results: readonly StepResult[]
  /** By shape and backend. */
  readonly againstPlain: Readonly<Record<string, AgainstPlain>>
}

/** By what --shapes takes. */
export const SHAPES = ['tiny', '2layers', '1x64', '1x256'] as const

export type ShapeLabel = (typeof SHAPES)[number]

interface Case {
  readonly label: ShapeLabel
  readonly model: () => Promise<BenchModel>
  readonly batch: number
  readonly tokens: number
  readonly wasm: 'both' | 'own' | 'none'
  readonly plain: boolean
  /** About how long, on WebGPU and on wasm. */
  readonly seconds: readonly [number, number]
}

function casesOf({ smolLm2, webgpu, shapes }: BenchContext): Case[] {
  const plain = true
  const cases: Case[] = [
    { label: 'tiny', model: tinyModel, batch: 4, tokens: 128, wasm: 'both', plain, seconds: [115, 70] },
  ]
  if (smolLm2) {
    const model = async () => smolLm2Model(smolLm2)
    const layers = async () => smolLm2Layers(smolLm2, 2)
    // Only where it is asked for: the whole says more.
    if (shapes !== null)
      cases.push({
        label: '2layers',
        model: layers,
        batch: 1,
        tokens: 64,
        wasm: 'both',
        plain,
        seconds: [90, 30],
      })
    cases.push({ label: '1x64', model, batch: 1, tokens: 64, wasm: 'own', plain, seconds: [190, 40] })
    // Plain tfjs would take half an hour there on a software adapter.
    const slow = webgpu?.software !== false
    cases.push({ label: '1x256', model, batch: 1, tokens: 256, wasm: 'none', plain: !slow, seconds: [95, 0] })
  }
  return cases.filter(({ label }) => shapes === null || shapes.includes(label))
}

export function stepSection(context: BenchContext): Section {
  const { webgpu, wasm, own, log, found } = context
  let submitBatch: number | null = null
  const bestProducts: BestProductResult[] = []
  const results: StepResult[] = []
  const againstPlain: Record<string, AgainstPlain> = {}
  const parts: Part[] = []
  if (webgpu) {
    if (!own)
      parts.push({
        name: 'how plain tfjs submits best',
        seconds: 35,
        run: async () => {
          submitBatch = await chooseSubmitBatch(webgpu.plain, await tinyModel(), log)
        },
      })
    parts.push({
      name: 'best product, WebGPU',
      seconds: 17,
      run: async () => {
        found.bestProduct ??= await findBestProduct(webgpu.plan, log)
        bestProducts.push(found.bestProduct.found)
      },
    })
  }
  const take = async (
    one: Case,
    backend: string,
    makers: readonly Maker[],
    product: BestProduct | undefined,
  ) => {
    const model = await one.model()
    const raced = await race(one, model, context, makers, product)
    results.push(...raced.results)
    if (raced.againstPlain)
      againstPlain[`${model.name} ${one.batch}x${one.tokens} ${backend}`] = raced.againstPlain
  }
  for (const one of casesOf(context)) {
    if (webgpu) {
      const { plan, planMeter, plain, plainMeter } = webgpu
      const makers: Maker[] = [(model) => ownContestant(plan, model, one, planMeter)]
      if (one.plain && !own) makers.push((model) => plainContestant(plain, model, one, plainMeter))
      parts.push({
        name: `${one.label}, WebGPU`,
        seconds: one.seconds[0],
        run: () => take(one, 'webgpu', makers, found.bestProduct),
      })
    }
    if (wasm && one.wasm !== 'none') {
      parts.push({
        name: `${one.label}, wasm`,
        seconds: one.seconds[1],
        run: async () => {
          const engine = await createNodeEngine({ backend: 'wasm' })
          const product = await findBestProduct(engine, log)
          bestProducts.push(product.found)
          const makers: Maker[] = [(model) => ownContestant(engine, model, one)]
          if (one.wasm === 'both' && !own) makers.push((model) => plainContestant(engine, model, one))
          await take(one, 'wasm', makers, product)
          product.dispose()
          await engine.dispose()
        },
      })
    }
  }
  return {
    parts,
    report: (): StepReport => ({ submitBatch, bestProducts, results, againstPlain }),
  }
}

type Maker = (model: BenchModel) => Promise<Contestant>

/** Timed rounds at most. */
const MOST_ROUNDS = 5

interface TimedStep extends Reading {
  /** GFLOP/s of the best product around it: the mean of before and after, and the faster of the two. */
  readonly productGflops: number | null
  readonly fasterGflops: number
}

async function race(
  { batch, tokens }: Case,
  model: BenchModel,
  { log, seconds }: BenchContext,
  makers: readonly Maker[],
  product: BestProduct | undefined,
): Promise<{ results: StepResult[]; againstPlain: AgainstPlain | null }> {
  const contestants: Contestant[] = []
  for (const make of makers) contestants.push(await make(model))
  const flops = trainingStepFlops(model.config, { batch, tokens, rank: RANK })
  const speedOf = ({ engine }: Contestant, reading: Reading) =>
    flops.performed / workMs(reading, onProcessor(engine)) / 1e6
  const readings = await takeTurns(
    contestants.map((contestant) => {
      let lastMs = 0
      return async (round: number): Promise<TimedStep> => {
        const timed = round > 0 && product !== undefined
        const before = timed ? await product.beside(lastMs) : 0
        const reading = await contestant.step(round + 1)
        lastMs = reading.wallMs
        const after = timed ? await product.beside(lastMs) : 0
        const productGflops = timed ? (before + after) / 2 : null
        const share =
          productGflops === null
            ? ' (first)'
            : `, ${((100 * speedOf(contestant, reading)) / productGflops).toFixed(0)} % of the best product`
        log(
          `step: ${model.name} ${batch}x${tokens}, ${contestant.name} on ${contestant.place.device}: ${reading.wallMs.toFixed(0)} ms, processor ${reading.cpuMs.toFixed(0)} ms${share}`,
        )
        return { ...reading, productGflops, fasterGflops: Math.max(before, after) }
      }
    }),
    { most: MOST_ROUNDS, budgetMs: seconds * 1000 * contestants.length },
  )
  for (const contestant of contestants) contestant.dispose()
  const [reference] = readings[0]
  for (const [which, [{ loss }]] of readings.entries()) {
    if (!(Math.abs(loss - reference.loss) <= 1e-3)) {
      throw new Error(
        `${contestants[which].name} starts at a loss of ${loss}, not ${reference.loss}: not the same work`,
      )
    }
  }
  const results = contestants.map((contestant, which): StepResult => {
    const [first, ...rest] = readings[which]
    const of = (pick: (reading: Reading) => number) => median(rest.map(pick))
    const [hostMs, submitMs, dispatches] = [
      of((one) => one.hostMs),
      of((one) => one.submitMs),
      of((one) => one.dispatches),
    ]
    const lap = medianLap(rest)
    const products = rest.flatMap(({ productGflops }) => (productGflops === null ? [] : [productGflops]))
    const speeds = rest.map((one) => speedOf(contestant, one))
    const fastest = rest.map(({ fasterGflops }) => fasterGflops)
    const isCompared = products.length > 0
    return {
      ...contestant.place,
      model: model.name,
      batch,
      tokens,
      contestant: contestant.name,
      steps: rest.length,
      tokensPerSecond: (batch * tokens * 1000) / lap.wallMs,
      stepMs: spread(rest.map(({ wallMs }) => wallMs)),
      tokensPerCpuSecond: (batch * tokens * 1000) / lap.cpuMs,
      stepCpuMs: spread(rest.map(({ cpuMs }) => cpuMs)),
      firstStepMs: first.wallMs,
      firstLoss: first.loss,
      lastLoss: rest.at(-1)!.loss,
      neededFlops: flops.needed,
      performedFlops: flops.performed,
      performedGflops: flops.performed / workMs(lap, onProcessor(contestant.engine)) / 1e6,
      shareOfBestProduct: isCompared ? spread(products.map((gflops, at) => speeds[at] / gflops)) : null,
      productGflops: isCompared ? spread(products) : null,
      shareAtBest: isCompared ? Math.max(...speeds) / Math.max(...fastest) : null,
      dispatches,
      planBytes: contestant.planBytes,
      host:
        contestant.engine.backend === 'wasm'
          ? null
          : {
              microsecondsPerDispatch: dispatches > 0 ? (hostMs * 1000) / dispatches : 0,
              encodeMs: hostMs - submitMs,
              submitMs,
              completionMs: Math.max(0, lap.wallMs - hostMs),
              share: hostMs / lap.wallMs,
            },
    }
  })
  const [own, plain] = readings.map((all) => all.slice(1))
  const ratios = (pick: (reading: Reading) => number) =>
    spread(plain.map((reading, round) => pick(reading) / pick(own[round])))
  return {
    results,
    againstPlain: plain
      ? { byWall: ratios(({ wallMs }) => wallMs), byCpu: ratios(({ cpuMs }) => cpuMs) }
      : null,
  }
}
