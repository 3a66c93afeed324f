/**
 * The text-to-image model: a LoRA training step (r 8, all seven projections) and a pass of its sampler, on
 * each engine and, on the same adapter, as plain tfjs ops with tf.grads. Contestants take turns, and their first losses
 * are compared: it must be the same work. On WebGPU a step's kernels are also timed one by one, for what share of the fastest
 * product's speed the whole step has.
 */
import { readFile } from 'node:fs/promises'
import { initialAdapter } from '../../models/adapters/initial.ts'
import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { type DiffusionConfig, parseDiffusionConfig, sequenceLength } from '../../models/diffusion/config.ts'
import { DiffusionModel } from '../../models/diffusion/model.ts'
import { projections } from '../../models/diffusion/modules.ts'
import type { TensorSource } from '../../models/families/placing.ts'
import { parseSafetensors, toFloat32 } from '../../models/formats/safetensors.ts'
import { PlanEngine } from '../../models/plan/plan-engine.ts'
import { PlanProgram } from '../../models/plan/plan-program.ts'
import type { Profile } from '../../models/plan/profile.ts'
import { placeAdapter } from '../../models/training/engine-adapter.ts'
import type { Batch, BatchShape } from '../../models/training/model.ts'
import { hyperParameters } from '../../models/training/schedule.ts'
import { TrainingStep } from '../../models/training/step.ts'
import type { Part, Section } from '../agenda.ts'
import { onProcessor, type Place, placeOf } from '../conditions.ts'
import { linearBackwardFlops, linearForwardFlops, productFlops } from '../counts.ts'
import { plainPictures } from '../plain/pictures.ts'
import type { BenchContext } from '../section.ts'
import { PLAIN } from '../step-contestants.ts'
import { type Lap, medianLap, processorMs, type Spread, spread, startClocks, workMs } from '../timing.ts'
import { takeTurns } from '../turns.ts'

const RANK = 8
const ALPHA = 16
const SEED = 'bench'

interface PictureResult extends Place {
  readonly contestant: string
  readonly work: 'training step' | 'forward pass'
  readonly pictures: number
  readonly runs: number
  readonly ms: Spread
  readonly cpuMs: Spread
  readonly picturesPerSecond: number
  readonly picturesPerCpuSecond: number
  readonly neededGflop: number
  /** By the place's clock. */
  readonly neededGflops: number
  /** GFLOP/s of the step's kernels, run one by one, over that of the fastest product among them. */
  readonly shareOfBestProduct: number | null
  /** Of the step's kernels, run one by one: the slowest first. */
  readonly kernels: readonly KernelShare[] | null
  readonly firstLoss: number | null
}

interface KernelShare {
  readonly name: string
  readonly dispatches: number
  /** Of the sum over all kernels. */
  readonly share: number
  readonly gflops: number
}

/** More would say little: the rest together is a few in a hundred. */
const SHOWN_KERNELS = 12

/** How many times less time this engine takes than plain tfjs beside it, round by round. */
interface AgainstPlain {
  readonly byWall: Spread
  readonly byCpu: Spread
}

interface Contestant {
  readonly name: string
  readonly place: Place
  readonly engine: Engine
  step(index: number): Promise<number>
  forward(): Promise<void>
  /** Where a program can be taken apart. */
  profile?(): Promise<Profile>
  dispose(): void
}

const recipe = {
  steps: 1000,
  batch: 1,
  tokens: 1,
  learningRate: 1e-3,
  warmupSteps: 0,
  weightDecay: 0,
  maxNorm: 0,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  evaluateEvery: 1000,
}
/** Of all pictures: products alone, which are all but a few in a hundred. */
export function pictureFlops(config: DiffusionConfig, pictures: number) {
  const { hiddenSize: hidden, intermediateSize: inner, heads, headDim, layers } = config
  const each = sequenceLength(config)
  const rows = pictures * each
  const sizes = [
    ...Array.from({ length: 3 }, () => [hidden, heads * headDim]),
    [heads * headDim, hidden],
    [hidden, inner],
    [hidden, inner],
    [inner, hidden],
  ] as const
  const linears = sizes.map(([width, out]) => ({ rows, width, out, rank: RANK }))
  const attention = productFlops(pictures * heads * each, headDim, each)
  const forward = linears.reduce((sum, one) => sum + linearForwardFlops(one), 0) + 2 * attention
  const backward = linears.reduce((sum, one) => sum + linearBackwardFlops(one), 0) + 5 * attention
  return { forward: layers * forward, step: layers * (forward + backward) }
}

export function picturesSection(context: BenchContext): Section {
  const { webgpu, wasm, own: alone, pictures } = context
  const results: PictureResult[] = []
  const againstPlain: Record<string, AgainstPlain> = {}
  const take = async (backend: string, ownEngine: Engine, plainEngine: Engine) => {
    const { config, source } = await emojiDit()
    const contestants = [await own(ownEngine, config, source, pictures)]
    if (!alone) contestants.push(await plain(plainEngine, config, source, pictures))
    const raced = await race(contestants, config, context)
    results.push(...raced.results)
    for (const [work, ratios] of Object.entries(raced.againstPlain))
      againstPlain[`${work} ${backend}`] = ratios
  }
  const parts: Part[] = []
  if (webgpu) {
    parts.push({
      name: 'emoji-dit, WebGPU',
      seconds: 90,
      run: () => take('webgpu', webgpu.plan, webgpu.plain),
    })
  }
  if (wasm) {
    parts.push({
      name: 'emoji-dit, wasm',
      seconds: 12,
      run: async () => {
        const engine = await createNodeEngine({ backend: 'wasm' })
        await take('wasm', engine, engine)
        await engine.dispose()
      },
    })
  }
  return { parts, report: () => ({ results, againstPlain }) }
}

async function emojiDit(): Promise<{ config: DiffusionConfig; source: TensorSource }> {
  const folder = new URL('../../models/catalog/emoji-dit/', import.meta.url)
  const config = parseDiffusionConfig(JSON.parse(await readFile(new URL('config.json', folder), 'utf8')))
  const { tensors } = parseSafetensors(await readFile(new URL('model.safetensors', folder)))
  return {
    config,
    source: (name) => {
      const tensor = tensors.get(name)
      return tensor && { shape: tensor.shape, values: toFloat32(tensor) }
    },
  }
}

/** Noise in place of pictures: what is measured is speed, and a loss that falls shows that it trains. */
function batchOf(model: DiffusionModel, pictures: number): Batch {
  const { length } = model.patches
  const examples = Array.from({ length: pictures }, (_, i) => ({
    counted: 1,
    pixels: Uint8Array.from({ length }, (_, c) => (c * 31 + i * 97) % 256),
    ids: Int32Array.from({ length: model.config.captionTokens }, (_, t) => (t === 0 ? 1 : (i * 7 + t) % 900)),
  }))
  return model.collate(model.asTrained(examples, SEED, 1), { batch: pictures, tokens: 1 })
}

const initial = (config: DiffusionConfig) =>
  initialAdapter({ rank: RANK, alpha: ALPHA, modules: projections(config) }, SEED)

async function own(
  engine: Engine,
  config: DiffusionConfig,
  source: TensorSource,
  pictures: number,
): Promise<Contestant> {
  const shape = { batch: pictures, tokens: 1 }
  const model = new DiffusionModel(engine, config, source)
  const placed = placeAdapter(engine, initial(config))
  const step = await TrainingStep.create(model, placed, shape)
  const pass = await engine.program('velocity', model.velocityInputs(pictures), (ops, inputs) => ({
    velocity: model.velocity(ops, inputs, pictures, placed),
  }))
  const batch = batchOf(model, pictures)
  return {
    name: `oneround (${engine.executor})`,
    place: placeOf(engine),
    engine,
    step: (index) => step.runAndRead(batch, hyperParameters(recipe, index)).then(({ loss }) => loss),
    forward: () => pass.run(batch.inputs, ['velocity']).then(() => {}),
    ...(engine instanceof PlanEngine && { profile: () => profileStep(engine, model, shape, batch) }),
    dispose() {
      step.dispose()
      pass.dispose()
      placed.dispose()
      model.dispose()
    },
  }
}

/** What it trains is thrown away: kernels run out of order. */
async function profileStep(engine: PlanEngine, model: DiffusionModel, shape: BatchShape, { inputs }: Batch) {
  const placed = placeAdapter(engine, initial(model.config))
  const specs = [...model.inputs(shape), { name: 'hyper', shape: [8], dtype: 'float32' } as const]
  const program = await engine.program('profiled step', specs, (ops, given) => {
    const nll = model.lossAndGradients(ops, given, shape, placed)
    return { nll, norm: ops.adamw(placed.parameters, given.hyper) }
  })
  if (!(program instanceof PlanProgram)) throw new TypeError('the plan engine makes plan programs')
  const profile = await program.profile({
    inputs: { ...inputs, hyper: hyperParameters(recipe, 1) },
    minMs: 20,
    ...(engine.software && { now: processorMs }),
  })
  program.dispose()
  placed.dispose()
  return profile
}

async function plain(
  engine: Engine,
  config: DiffusionConfig,
  source: TensorSource,
  pictures: number,
): Promise<Contestant> {
  // Makes the engine's backend tfjs's current one.
  await engine.finish()
  const { modules } = initial(config)
  const { learningRate, beta1, beta2 } = recipe
  const options = { batch: pictures, rank: RANK, alpha: ALPHA, learningRate, beta1, beta2 }
  const made = plainPictures(config, source, (module) => modules.get(module)!.a, options)
  const probe = new DiffusionModel(engine, config, source)
  const batch = batchOf(probe, pictures)
  probe.dispose()
  return {
    name: PLAIN,
    place: placeOf(engine, 'tfjs'),
    engine,
    async step() {
      await engine.finish()
      return made.step(batch)
    },
    async forward() {
      await engine.finish()
      await made.velocity(batch)
    },
    dispose: () => made.dispose(),
  }
}

interface Round {
  readonly loss: number
  readonly step: Lap
  readonly forward: Lap
}

const WORK = { step: 'training step', forward: 'forward pass' } as const
type Kind = keyof typeof WORK
const KINDS = ['step', 'forward'] as const satisfies readonly Kind[]

async function race(
  contestants: readonly Contestant[],
  config: DiffusionConfig,
  { seconds, log, pictures }: BenchContext,
): Promise<{ results: PictureResult[]; againstPlain: Record<string, AgainstPlain> }> {
  const rounds = await takeTurns(
    contestants.map((contestant) => async (round: number): Promise<Round> => {
      let read = startClocks()
      const loss = await contestant.step(round + 1)
      const step = read()
      read = startClocks()
      await contestant.forward()
      const forward = read()
      log(
        `pictures: ${contestant.name} on ${contestant.place.device}: step ${step.wallMs.toFixed(0)} ms, pass ${forward.wallMs.toFixed(0)} ms${round === 0 ? ' (first)' : ''}`,
      )
      return { loss, step, forward }
    }),
    { most: 5, budgetMs: seconds * 1000 * contestants.length },
  )
  const [first, other = first] = rounds.map(([{ loss }]) => loss)
  if (!(Math.abs(first - other) <= 1e-4)) throw new Error(`losses ${first} and ${other}: not the same work`)
  const flops = pictureFlops(config, pictures)
  const profiles = new Map<Contestant, Profile>()
  for (const contestant of contestants) {
    const profile = await contestant.profile?.()
    if (profile) profiles.set(contestant, profile)
  }
  const timed = rounds.map((all) => all.slice(1))
  const results = contestants.flatMap((contestant, which) =>
    KINDS.map((kind): PictureResult => {
      const profile = kind === 'step' ? profiles.get(contestant) : undefined
      const laps = timed[which].map((round) => round[kind])
      const lap = medianLap(laps)
      return {
        ...contestant.place,
        contestant: contestant.name,
        work: WORK[kind],
        pictures,
        runs: laps.length,
        ms: spread(laps.map(({ wallMs }) => wallMs)),
        cpuMs: spread(laps.map(({ cpuMs }) => cpuMs)),
        picturesPerSecond: (pictures * 1000) / lap.wallMs,
        picturesPerCpuSecond: (pictures * 1000) / lap.cpuMs,
        neededGflop: flops[kind] / 1e9,
        neededGflops: flops[kind] / workMs(lap, onProcessor(contestant.engine)) / 1e6,
        shareOfBestProduct: profile ? flops.step / profile.totalMs / bestProduct(profile) : null,
        kernels: profile ? shares(profile) : null,
        firstLoss: kind === 'step' ? rounds[which][0].loss : null,
      }
    }),
  )
  for (const contestant of contestants) contestant.dispose()
  const [ours, others] = timed
  const ratios = (kind: Kind, clock: keyof Lap) =>
    spread(others.map((round, at) => round[kind][clock] / ours[at][kind][clock]))
  const againstPlain = Object.fromEntries(
    (others ? KINDS : []).map((kind) => [
      WORK[kind],
      { byWall: ratios(kind, 'wallMs'), byCpu: ratios(kind, 'cpuMs') },
    ]),
  )
  return { results, againstPlain }
}

/** FLOP a millisecond of the fastest product of a frozen weight. */
const bestProduct = ({ kernels }: Profile) =>
  Math.max(...kernels.filter(({ name }) => name.startsWith('linear')).map(({ flops, ms }) => flops / ms))

const shares = ({ kernels, totalMs }: Profile): KernelShare[] =>
  kernels.slice(0, SHOWN_KERNELS).map(({ name, dispatches, ms, flops }) => ({
    name,
    dispatches,
    share: ms / totalMs,
    gflops: flops / ms / 1e6,
  }))
