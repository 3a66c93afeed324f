/**
 * Putting a model's weights on an engine, one tensor after another: a family asks for them by name (a generator), and
 * whoever drives it finds them, in memory or elsewhere. Every shape is checked against the configuration before
 * anything is uploaded.
 */
import type { Engine } from '../backend/engine.ts'
import { FormatError } from '../errors.ts'
import { dequantise } from '../formats/gguf-dequantise.ts'
import type { PackedType } from '../formats/gguf-packed.ts'
import type { Tensor } from '../ops/ops.ts'

export interface FoundTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** A matrix as its file packs it, for engines that keep it so. */
export interface FoundMatrix {
  readonly shape: readonly [number, number]
  readonly type: PackedType
  readonly blocks: Uint8Array
}

export type Found = FoundTensor | FoundMatrix

/** Gives a tensor's values and shape by its Hugging Face name, or nothing. Called once a tensor. */
export type TensorSource = (name: string) => FoundTensor | undefined

/** The same of files, whose matrices may stay packed. */
export type StoredSource = (name: string) => Found | undefined

/** The same of files that are not in memory; the next tensor is asked for once this one is placed. */
export type AsyncStoredSource = (name: string) => Promise<Found | undefined>

/** Asks for tensors by name, one after another, so that a source may be synchronous or not. */
export type Placing<T> = Generator<string, T, Found | undefined>

/** What a family places with: `placed` is freed again where something goes wrong. */
export class Placer {
  readonly placed: Tensor[] = []
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** @throws FormatError `model/missing-tensor`, `model/wrong-shape` */
  *find(name: string, shape: readonly number[]): Placing<Found> {
    const found = yield name
    if (!found) {
      throw new FormatError('model/missing-tensor', `The model file lacks ${name}; download the model again.`)
    }
    if (found.shape.length !== shape.length || found.shape.some((size, axis) => size !== shape[axis])) {
      throw new FormatError(
        'model/wrong-shape',
        `The model file's ${name} is [${found.shape}], its configuration asks for [${shape}]; the two are not of one model.`,
      )
    }
    return found
  }

  /** Its numbers, unpacked. */
  *values(name: string, shape: readonly number[]): Placing<Float32Array> {
    const found = yield* this.find(name, shape)
    return 'values' in found ? found.values : dequantise(found.type, found.blocks)
  }

  /** A linear layer's weight or an embedding may stay packed; other constants: `values` and `constant`. */
  *place(name: string, shape: readonly number[]): Placing<Tensor> {
    const found = yield* this.find(name, shape)
    if (!('blocks' in found)) return this.constant(found.values, shape)
    // The shape just compared is the one asked for: only matrices come packed.
    const tensor = this.#engine.packed(found.type, found.blocks, found.shape)
    this.placed.push(tensor)
    return tensor
  }

  /** Layers that read the same input, so placed that an engine may multiply by all at once. */
  together<Layer extends { readonly weight: Tensor; readonly bias?: Tensor }>(
    layers: readonly Layer[],
  ): Layer[] {
    const weights = this.#stack(layers.map(({ weight }) => weight))
    const biases = layers.flatMap(({ bias }) => (bias ? [bias] : []))
    if (biases.length < layers.length) return layers.map((layer, i) => ({ ...layer, weight: weights[i] }))
    const stacked = this.#stack(biases)
    return layers.map((layer, i) => ({ ...layer, weight: weights[i], bias: stacked[i] }))
  }

  #stack(tensors: readonly Tensor[]): Tensor[] {
    const stacked = this.#engine.stack(tensors)
    tensors.forEach((tensor, i) => {
      this.placed[this.placed.lastIndexOf(tensor)] = stacked[i]
    })
    return stacked
  }

  constant(values: Float32Array, shape: readonly number[]): Tensor {
    const tensor = this.#engine.constant(values, shape)
    this.placed.push(tensor)
    return tensor
  }
}

/** @throws what `steps` throws; whatever was placed is freed then */
export function placeAll<T>(engine: Engine, steps: (placer: Placer) => Placing<T>, source: StoredSource): T {
  const placer = new Placer(engine)
  try {
    const placing = steps(placer)
    let step = placing.next()
    while (!step.done) step = placing.next(source(step.value))
    return step.value
  } catch (error) {
    for (const tensor of placer.placed) engine.free(tensor)
    throw error
  }
}

/** Besides the engine's own, only one tensor is in memory at a time. Throws as `placeAll`, and what `source` throws. */
export async function streamAll<T>(
  engine: Engine,
  steps: (placer: Placer) => Placing<T>,
  source: AsyncStoredSource,
): Promise<T> {
  const placer = new Placer(engine)
  try {
    const placing = steps(placer)
    let step = placing.next()
    while (!step.done) step = placing.next(await source(step.value))
    return step.value
  } catch (error) {
    for (const tensor of placer.placed) engine.free(tensor)
    throw error
  }
}
