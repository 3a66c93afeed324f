/**
 * Trainable matrices on tfjs: values and both moments of a whole set live in one flat vector each, padded with
 * zeros to whole rows of FLAT_ROW, so that the optimiser runs over one tensor instead of one a matrix. After
 * each change the matrices are cut out again (small copies), because tfjs has no views.
 */
import * as tf from '@tensorflow/tfjs-core'
import { ModelsError } from '../errors.ts'
import { tidy, wrap } from './eager-context.ts'
import type { Parameter, ParameterSet, Tensor } from './ops.ts'

/** Entries in a row of the flat vectors; sums over them are made row by row. */
export const FLAT_ROW = 512

export class EagerParameter implements Parameter {
  readonly name: string
  readonly shape: readonly [number, number]
  /** Where the matrix starts in the set's flat vectors. */
  readonly offset: number
  matrix: tf.Tensor2D | null = null
  gradient: tf.Tensor2D | null = null

  constructor(name: string, shape: readonly [number, number], offset: number) {
    this.name = name
    this.shape = shape
    this.offset = offset
  }

  get length(): number {
    return this.shape[0] * this.shape[1]
  }

  get value(): Tensor {
    if (!this.matrix)
      throw new ModelsError('parameters/disposed', `The parameter ${this.name} is used after it was freed.`)
    return wrap(this.matrix)
  }

  /** Takes `gradient` over from the scope it was made in. */
  setGradient(gradient: tf.Tensor2D): void {
    this.gradient?.dispose()
    this.gradient = tf.keep(gradient)
  }
}

export class EagerParameterSet implements ParameterSet {
  readonly parameters: ReadonlyMap<string, EagerParameter>
  private readonly length: number
  private readonly padding: number
  values: tf.Tensor1D
  private moments: { readonly first: tf.Tensor1D; readonly second: tf.Tensor1D } | null = null
  private sum: tf.Tensor1D | null = null
  private readonly activate: () => void

  /** `activate` makes the engine's backend tfjs's current one: tensors are made outside programs too. */
  constructor(
    specs: ReadonlyArray<{ name: string; shape: readonly [number, number] }>,
    activate: () => void,
  ) {
    const parameters = new Map<string, EagerParameter>()
    let length = 0
    for (const { name, shape } of specs) {
      if (parameters.has(name))
        throw new ModelsError('parameters/duplicate', `Two parameters are called ${name}.`)
      const parameter = new EagerParameter(name, shape, length)
      parameters.set(name, parameter)
      length += parameter.length
    }
    this.parameters = parameters
    this.length = length
    this.padding = (FLAT_ROW - (length % FLAT_ROW)) % FLAT_ROW
    this.activate = activate
    activate()
    this.values = this.zeros()
    this.cutMatrices()
  }

  /** Both moments are made when first asked for: an adapter that is only read never needs them. */
  get first(): tf.Tensor1D {
    return this.bothMoments().first
  }

  get second(): tf.Tensor1D {
    return this.bothMoments().second
  }

  /** Every gradient slot in one vector, padded with zeros: [padded length]. The caller owns it. */
  flatGradient(): tf.Tensor1D {
    return tidy(() => {
      const parts: tf.Tensor1D[] = []
      for (const { name, gradient, length } of this.parameters.values()) {
        if (!gradient) {
          throw new ModelsError(
            'parameters/no-gradient',
            `The optimiser ran before a gradient of ${name} was computed.`,
          )
        }
        parts.push(tf.reshape(gradient, [length]))
      }
      if (this.padding > 0) parts.push(tf.zeros([this.padding]))
      return tf.concat(parts)
    })
  }

  /** What was accumulated of gradients [padded length]; the set owns it. */
  accumulated(): tf.Tensor1D {
    this.sum ??= this.zeros()
    return this.sum
  }

  /** Takes `sum` over from the scope it was made in. */
  setAccumulated(sum: tf.Tensor1D): void {
    this.sum?.dispose()
    this.sum = tf.keep(sum)
  }

  /** Takes the three vectors over from the scope they were made in. */
  replace(values: tf.Tensor1D, first: tf.Tensor1D, second: tf.Tensor1D): void {
    this.values.dispose()
    this.values = tf.keep(values)
    this.replaceMoments(first, second)
    this.cutMatrices()
  }

  write(values: ReadonlyMap<string, Float32Array>): void {
    this.activate()
    const written = this.overwritten(this.values, values)
    this.values.dispose()
    this.values = written
    this.cutMatrices()
  }

  async read(): Promise<Map<string, Float32Array>> {
    return this.split((await this.values.data()) as Float32Array)
  }

  async readGradients(): Promise<Map<string, Float32Array>> {
    const gradients = new Map<string, Float32Array>()
    for (const { name, gradient } of this.parameters.values()) {
      if (!gradient)
        throw new ModelsError('parameters/no-gradient', `No gradient of ${name} has been computed yet.`)
      gradients.set(name, Float32Array.from(await gradient.data()))
    }
    return gradients
  }

  async readMoments(): Promise<{ first: Map<string, Float32Array>; second: Map<string, Float32Array> }> {
    const [first, second] = await Promise.all([this.first.data(), this.second.data()])
    return { first: this.split(first as Float32Array), second: this.split(second as Float32Array) }
  }

  writeMoments(first: ReadonlyMap<string, Float32Array>, second: ReadonlyMap<string, Float32Array>): void {
    this.activate()
    this.checkNames(first)
    this.checkNames(second)
    this.replaceMoments(this.overwritten(this.first, first), this.overwritten(this.second, second))
  }

  dispose(): void {
    this.values.dispose()
    this.disposeMoments()
    this.sum?.dispose()
    this.sum = null
    for (const parameter of this.parameters.values()) {
      parameter.matrix?.dispose()
      parameter.gradient?.dispose()
      parameter.matrix = null
      parameter.gradient = null
    }
  }

  private zeros(): tf.Tensor1D {
    return tf.keep(tf.zeros<tf.Rank.R1>([this.length + this.padding]))
  }

  private bothMoments(): { readonly first: tf.Tensor1D; readonly second: tf.Tensor1D } {
    if (!this.moments) {
      this.activate()
      this.moments = { first: this.zeros(), second: this.zeros() }
    }
    return this.moments
  }

  private replaceMoments(first: tf.Tensor1D, second: tf.Tensor1D): void {
    this.disposeMoments()
    this.moments = { first: tf.keep(first), second: tf.keep(second) }
  }

  private disposeMoments(): void {
    if (this.moments) tf.dispose([this.moments.first, this.moments.second])
    this.moments = null
  }

  private cutMatrices(): void {
    for (const parameter of this.parameters.values()) {
      parameter.matrix?.dispose()
      const { offset, length, shape } = parameter
      const matrix = tidy(() =>
        tf.reshape<tf.Rank.R2>(tf.slice(this.values, offset, length), [shape[0], shape[1]]),
      )
      parameter.matrix = tf.keep(matrix)
    }
  }

  /**
   * `current` [padded length] with the given matrices in place of its own; the caller owns it. Nothing is read back: a GPU
   * cannot be waited for here. Neighbours that are given, or that stay, go in one piece.
   */
  private overwritten(current: tf.Tensor1D, values: ReadonlyMap<string, Float32Array>): tf.Tensor1D {
    this.checkNames(values)
    const pieces: { readonly from: number; to: number; readonly given: boolean }[] = []
    for (const { name, offset, length } of this.parameters.values()) {
      const given = values.has(name)
      const last = pieces.at(-1)
      if (last?.given === given) last.to = offset + length
      else pieces.push({ from: offset, to: offset + length, given })
    }
    const last = pieces.at(-1)
    // A set without parameters.
    if (!last) return tf.keep(tf.clone(current))
    // The padding is zeros in either.
    last.to += this.padding
    const flat = new Float32Array(this.length + this.padding)
    for (const [name, numbers] of values) flat.set(numbers, this.parameters.get(name)!.offset)
    const written = tidy(() =>
      tf.concat(
        pieces.map(({ from, to, given }) =>
          given ? tf.tensor1d(flat.slice(from, to)) : tf.slice1d(current, from, to - from),
        ),
      ),
    )
    return tf.keep(written)
  }

  private checkNames(values: ReadonlyMap<string, Float32Array>): void {
    for (const [name, { length }] of values) {
      const parameter = this.parameters.get(name)
      if (!parameter)
        throw new ModelsError('parameters/unknown', `There is no parameter ${name} in this set.`)
      if (length !== parameter.length) {
        throw new ModelsError(
          'parameters/wrong-length',
          `${name} has ${parameter.length} entries, but ${length} were given.`,
        )
      }
    }
  }

  private split(flat: Float32Array): Map<string, Float32Array> {
    const values = new Map<string, Float32Array>()
    for (const { name, offset, length } of this.parameters.values())
      values.set(name, flat.slice(offset, offset + length))
    return values
  }
}
