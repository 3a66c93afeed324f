/**
 * Whether a model can be trained on a device, before any of its weights is downloaded: from its configuration and the
 * descriptions of its tensors. For WebGPU the training step is recorded and laid out as it will be run, so the number
 * is the plan's own; for tfjs's backends, which manage their own memory, it is an estimate.
 */
import type { Adapter, AdapterForm } from '../adapters/adapter.ts'
import type { DeviceRoom, Engine, ExecutorName } from '../backend/engine.ts'
import { DeviceError } from '../errors.ts'
import type { ModelSpec } from '../families/family.ts'
import { type Found, placeAll } from '../families/placing.ts'
import { staysPacked } from '../formats/gguf-packed.ts'
import { SizingEngine } from '../plan/sizing-engine.ts'
import { placeAdapter } from '../training/engine-adapter.ts'
import { Evaluator } from '../training/evaluate.ts'
import type { BatchShape, Model } from '../training/model.ts'
import { TrainingStep } from '../training/step.ts'
import type { ModelOutline } from './model-files.ts'

/** What is to be done with the model. */
export interface Work extends BatchShape {
  /** Of the adapter that is trained; null: the model is only run. */
  readonly rank: number | null
  /** `lora` where it is left out. */
  readonly form?: AdapterForm | undefined
}

export interface MemoryNeed {
  /** Of the base, as it lies on the device. */
  readonly weightBytes: number
  /** Factors, their gradients and moments. */
  readonly adapterBytes: number
  /** Inputs and intermediate tensors of a training step and of an evaluation. */
  readonly stepBytes: number
  readonly totalBytes: number
  /** The largest single piece. */
  readonly largestBytes: number
}

/** What there is too little room for, in bytes. */
export interface Lack {
  readonly needed: number
  readonly has: number
  /** The largest piece is too large, whatever the whole. */
  readonly inOnePiece: boolean
}

export type Verdict =
  | {
      readonly fits: true
      /** Of so many windows at once. */
      readonly need: MemoryNeed
      /** A batch may pass in parts, whose gradients are summed: windows of it that there is room for at once. */
      readonly windows: number
    }
  | {
      readonly fits: false
      /** Of a single window. */
      readonly need: MemoryNeed
      readonly lack: Lack
      /** Less of the same work that fits; null where none does. */
      readonly instead: Work | null
    }

/** Smaller windows are of little use. */
const FEWEST_TOKENS = 64

/** Sizes of any work on one model; its weights are looked at once. */
export class MemoryPlanner {
  readonly #outline: ModelOutline
  readonly #executor: ExecutorName
  #placed: { on: (engine: Engine) => Model; weightBytes: number; largestBytes: number } | undefined

  constructor(outline: ModelOutline, executor: ExecutorName) {
    this.#outline = outline
    this.#executor = executor
  }

  /** @throws FormatError where the tensors are not the configuration's */
  async need(work: Work): Promise<MemoryNeed> {
    return this.#executor === 'plan' ? this.#planned(work) : estimated(this.#outline, work)
  }

  /** Whether it fits, if need be a batch in parts; if not even a single window does, the most that does. */
  async verdict(work: Work, room: DeviceRoom): Promise<Verdict> {
    for (let windows = work.batch; ; windows = Math.ceil(windows / 2)) {
      const part = { ...work, batch: windows }
      const need = await this.need(part)
      if (isRoomFor(need, room)) return { fits: true, need, windows }
      if (windows > 1) continue
      const instead = await this.#mostThatFits(part, room)
      return {
        fits: false,
        need,
        lack: lackOf(need, room),
        instead: instead && { ...instead, batch: work.batch },
      }
    }
  }

  async #mostThatFits(part: Work, room: DeviceRoom): Promise<Work | null> {
    for (const less of reductions(part, this.#outline.spec)) {
      if (isRoomFor(await this.need(less), room)) return less
    }
    return null
  }

  async #planned(work: Work): Promise<MemoryNeed> {
    const { spec } = this.#outline
    this.#placed ??= sizedWeights(this.#outline)
    const { on, weightBytes, largestBytes } = this.#placed
    const engine = new SizingEngine()
    const model = on(engine)
    const adapter = work.rank === null ? null : placeAdapter(engine, zeroAdapter(spec, work), work.form)
    // The adapter's gradients and moments are made when a step asks for them.
    const factors = engine.memory().bytes
    const step = adapter && (await TrainingStep.create(model, adapter, work))
    const evaluation = await Evaluator.create(model, adapter, work)
    const all = engine.memory().bytes
    step?.dispose()
    evaluation.dispose()
    const trained = adapter ? trainedBytes(spec, work) : 0
    const adapterBytes = factors + 3 * trained
    return {
      weightBytes,
      adapterBytes,
      stepBytes: all - adapterBytes,
      totalBytes: weightBytes + all,
      largestBytes: Math.max(largestBytes, engine.largest.bytes),
    }
  }
}

/**
 * How many windows of the work's batch there is room for at once.
 *
 * @throws DeviceError `device/too-little-memory` with what to reduce
 */
export async function checkRoom(
  outline: ModelOutline,
  work: Work,
  { executor, room }: { readonly executor: ExecutorName; readonly room: DeviceRoom },
): Promise<number> {
  const verdict = await new MemoryPlanner(outline, executor).verdict(work, room)
  if (verdict.fits) return verdict.windows
  throw new DeviceError('device/too-little-memory', refusal(verdict))
}

const isRoomFor = ({ largestBytes, totalBytes }: MemoryNeed, room: DeviceRoom) =>
  largestBytes <= room.largestBytes && totalBytes <= (room.totalBytes ?? Number.POSITIVE_INFINITY)

/** Less and less work: first shorter windows, then a smaller adapter. */
function* reductions(work: Work, { tokens }: ModelSpec): Generator<Work> {
  const half = (count: number) => Math.floor(count / 2)
  let less = work
  while (tokens.chosen && less.tokens > FEWEST_TOKENS) {
    less = { ...less, tokens: Math.max(FEWEST_TOKENS, half(less.tokens)) }
    yield less
  }
  while (less.rank !== null && less.rank > 1) {
    less = { ...less, rank: half(less.rank) }
    yield less
  }
}

function lackOf(need: MemoryNeed, room: DeviceRoom): Lack {
  if (need.largestBytes > room.largestBytes)
    return { needed: need.largestBytes, has: room.largestBytes, inOnePiece: true }
  return { needed: need.totalBytes, has: room.totalBytes ?? 0, inOnePiece: false }
}

function refusal({ need, lack, instead }: Extract<Verdict, { readonly fits: false }>): string {
  const tooMuch = lack.inOnePiece
    ? `${megabytes(lack.needed)} in one piece, this device allows ${megabytes(lack.has)}`
    : `${megabytes(lack.needed)} of memory (weights ${megabytes(need.weightBytes)}), this device has ${megabytes(lack.has)}`
  const advice = instead
    ? `it fits with length ${instead.tokens}${instead.rank === null ? '' : ` and rank ${instead.rank}`}`
    : 'take a smaller model, or the same quantised to fewer bits'
  return `This needs ${tooMuch}; ${advice}.`
}

const megabytes = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(0)} MB`

const NOTHING = new Uint8Array(0)

/** The weights' places on a device, whatever their numbers. */
function sizedWeights({ spec, tensors }: ModelOutline) {
  const engine = new SizingEngine()
  const on = placeAll(engine, spec.placing, (name): Found | undefined => {
    const tensor = tensors.get(name)
    if (!tensor) return undefined
    const { type, shape } = tensor
    if (staysPacked(type, shape)) return { type, shape: [shape[0], shape[1]], blocks: NOTHING }
    // Lists may be used at once, such as divisors of frequencies: any numbers do.
    const values = shape.length === 1 ? new Float32Array(shape[0]).fill(1) : new Float32Array(0)
    return { shape, values }
  })
  return { on, weightBytes: engine.memory().bytes, largestBytes: engine.largest.bytes }
}

function zeroAdapter({ targets }: ModelSpec, { rank, form }: Work): Adapter {
  const width = rank ?? 0
  const modules = targets.map((module) => ({
    ...module,
    rank: width,
    alpha: width,
    a: new Float32Array(width * module.inFeatures),
    b: new Float32Array(module.outFeatures * width),
    ...(form === 'lora-sb' && { r: new Float32Array(width * width) }),
  }))
  return { modules: new Map(modules.map((factors) => [factors.name, factors])) }
}

/** Of what the form trains, once. */
function trainedBytes({ targets }: ModelSpec, { rank, form = 'lora' }: Work): number {
  const width = rank ?? 0
  return targets.reduce((sum, { inFeatures, outFeatures }) => {
    if (form === 'lora-sb') return sum + 4 * width * width
    return sum + 4 * width * (outFeatures + (form === 'lora' ? inFeatures : 0))
  }, 0)
}

/**
 * For tfjs's backends, which unpack weights to float32 and attend with all of [tokens, tokens]: every weight twice (on
 * wasm, the only one that says how much it has, its numbers and their packing, or in training a packing for each
 * direction; models/ops/eager-context.ts), the adapter four times, and what the family's step takes.
 */
function estimated({ spec, tensors }: ModelOutline, work: Work): MemoryNeed {
  const bytesOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 4)
  const matrices = [...tensors.values()].map(({ shape }) => bytesOf(shape))
  const numbers = matrices.reduce((sum, bytes) => sum + bytes, 0)
  const step = spec.eagerMemory({ ...work, trained: work.rank !== null })
  const weightBytes = numbers + step.constantBytes
  const adapterBytes = work.rank === null ? 0 : 4 * trainedBytes(spec, work)
  const stepBytes = numbers + step.stepBytes
  return {
    weightBytes,
    adapterBytes,
    stepBytes,
    totalBytes: weightBytes + adapterBytes + stepBytes,
    largestBytes: Math.max(...matrices, step.largestBytes),
  }
}
