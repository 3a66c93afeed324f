/**
 * What the trainer, the evaluation, the update codec and the round know of a model. A family's
 * folder implements it; nothing outside knows more.
 */
import type { Adapter, AdapterModule, AdapterShape } from '../adapters/adapter.ts'
import type { Engine, InputSpec, ProgramInputs } from '../backend/engine.ts'
import type { Ops, ParameterSet, Tensor } from '../ops/ops.ts'

/** An adapter that lives on an engine: its factors, and each module's scale = alpha / rank. */
export interface EngineAdapter {
  /** What is trained. */
  readonly parameters: ParameterSet
  /** Factors that the training form leaves as they are. */
  readonly frozen: ParameterSet | null
  readonly modules: ReadonlyMap<string, { readonly rank: number; readonly alpha: number }>
  dispose(): void
}

/**
 * One example as a family understands it; for text a window of ids with the number of targets that count.
 * `tokens` is what speeds and losses are counted in: counted targets for text, pictures for images.
 */
export interface Example {
  readonly counted: number
}

export interface BatchShape {
  readonly batch: number
  readonly tokens: number
}

export interface Batch {
  readonly inputs: ProgramInputs
  /** Targets that count towards the loss. */
  readonly counted: number
  /** Tokens (or pictures) that pass through the model, padding excluded. */
  readonly processed: number
}

/** What a family counts in, for people. */
export interface Units {
  /** One example. */
  readonly example: 'window' | 'picture'
  /** What losses are means over, and speeds are counted in. */
  readonly counted: 'token' | 'picture'
  readonly loss: 'nats a token' | 'squared error'
}

export interface Model<E extends Example = Example> {
  readonly family: string
  readonly units: Units
  readonly engine: Engine
  /** Every linear layer an adapter can sit on, in the model's order. */
  readonly modules: readonly AdapterModule[]
  inputs(shape: BatchShape): readonly InputSpec[]
  /**
   * The examples as step `step` of a run sees them, where a family draws something anew at each (noise, a time): by
   * seed and step alone, so that a resumed run draws the same. Left out: as they are.
   */
  asTrained?(examples: readonly E[], seed: string, step: number): readonly E[]
  /** As a measurement sees them, the same each time; may be several for each. Left out: as they are. */
  asMeasured?(examples: readonly E[]): readonly E[]
  /**
   * Whether `collate` can lay these examples out in this shape; a family that packs short examples together fits more
   * than shape.batch of them. Left out: one example a place, and every example needs shape.tokens.
   */
  fits?(examples: readonly E[], shape: BatchShape): boolean
  /** Lays examples out; fewer than shape.batch leaves rows of weight 0. Weights are 1 / counted: a mean loss. */
  collate(examples: readonly E[], shape: BatchShape): Batch
  /** Loss of each row [rows], 0 where nothing counts. */
  loss(
    ops: Ops,
    inputs: Readonly<Record<string, Tensor>>,
    shape: BatchShape,
    adapter: EngineAdapter | null,
  ): Tensor
  /** The same, and leaves the gradients of the weighted sum in the parameters' slots. */
  lossAndGradients(
    ops: Ops,
    inputs: Readonly<Record<string, Tensor>>,
    shape: BatchShape,
    adapter: EngineAdapter,
  ): Tensor
  dispose(): void
}

export type { Adapter, AdapterShape }
