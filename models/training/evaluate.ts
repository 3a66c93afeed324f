/** Measuring a model, with or without an adapter, on examples it is not trained on. */
import type { Adapter } from '../adapters/adapter.ts'
import type { Program } from '../backend/engine.ts'
import { DataError } from '../errors.ts'
import { checkAdapterFits, placeAdapter } from './engine-adapter.ts'
import type { BatchShape, EngineAdapter, Example, Model } from './model.ts'
import { cutToFit } from './shapes.ts'

export interface Evaluation {
  /** Mean over all examples, in the family's unit: of text negative log-likelihood a counted token, in nats. */
  readonly loss: number
  readonly counted: number
}

/** Called with the share that is done, 0 to 1. */
export type OnProgress = (fraction: number) => void

/** The loss as a program, to be run over any number of examples. */
export class Evaluator<E extends Example> {
  private readonly model: Model<E>
  private readonly shape: BatchShape
  private readonly program: Program

  private constructor(model: Model<E>, shape: BatchShape, program: Program) {
    this.model = model
    this.shape = shape
    this.program = program
  }

  /** Measures `adapter` as it is at each run. The caller disposes of the evaluator. */
  static async create<E extends Example>(
    model: Model<E>,
    adapter: EngineAdapter | null,
    shape: BatchShape,
  ): Promise<Evaluator<E>> {
    const program = await model.engine.program('evaluation', model.inputs(shape), (ops, inputs) => ({
      nll: model.loss(ops, inputs, shape, adapter),
    }))
    return new Evaluator(model, shape, program)
  }

  async run(examples: readonly E[], onProgress?: OnProgress): Promise<Evaluation> {
    if (examples.length === 0) {
      throw new DataError('data/empty', 'There are no examples to measure on; add more data.')
    }
    let sum = 0
    let counted = 0
    let done = 0
    const seen = this.model.asMeasured?.(examples) ?? examples
    for (const part of cutToFit(this.model, seen, this.shape)) {
      const batch = this.model.collate(part, this.shape)
      const { nll } = await this.program.run(batch.inputs, ['nll'])
      for (const entry of nll) sum += entry
      counted += batch.counted
      done += part.length
      onProgress?.(done / seen.length)
    }
    return { loss: sum / counted, counted }
  }

  dispose(): void {
    this.program.dispose()
  }
}

/** Measures once. Throws MismatchError where the adapter is another base model's, DataError without examples. */
export async function evaluate<E extends Example>(
  model: Model<E>,
  adapter: Adapter | null,
  examples: readonly E[],
  shape: BatchShape,
  onProgress?: OnProgress,
): Promise<Evaluation> {
  if (adapter) checkAdapterFits(model, adapter)
  const placed = adapter ? placeAdapter(model.engine, adapter) : null
  try {
    const evaluator = await Evaluator.create(model, placed, shape)
    try {
      return await evaluator.run(examples, onProgress)
    } finally {
      evaluator.dispose()
    }
  } finally {
    placed?.dispose()
  }
}
