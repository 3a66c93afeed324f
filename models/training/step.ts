/** One optimiser step as programs: forward, backward and AdamW in a single run on the device, or in parts. */
import type { Engine, Program, ProgramStats } from '../backend/engine.ts'
import type { Batch, BatchShape, EngineAdapter, Example, Model } from './model.ts'

export interface StepReading {
  /** Mean over the batch's counted targets. */
  readonly loss: number
  /** Global norm before clipping. */
  readonly gradientNorm: number
}

const HYPER_INPUT = { name: 'hyper', shape: [8], dtype: 'float32' } as const

export class TrainingStep {
  private readonly program: Program

  private constructor(program: Program) {
    this.program = program
  }

  /** Trains `adapter` in place. The caller disposes of the step. */
  static async create<E extends Example>(
    model: Model<E>,
    adapter: EngineAdapter,
    shape: BatchShape,
  ): Promise<TrainingStep> {
    const inputs = [...model.inputs(shape), HYPER_INPUT]
    return new TrainingStep(
      await model.engine.program('trainingStep', inputs, (ops, given) => {
        const nll = model.lossAndGradients(ops, given, shape, adapter) // [rows]
        return { nll, norm: ops.adamw(adapter.parameters, given.hyper) }
      }),
    )
  }

  /** Runs without waiting for the device. */
  async run(batch: Batch, hyper: Float32Array): Promise<void> {
    await this.program.run({ ...batch.inputs, hyper })
  }

  /** Runs and waits for what came of it. */
  async runAndRead(batch: Batch, hyper: Float32Array): Promise<StepReading> {
    const { nll, norm } = await this.program.run({ ...batch.inputs, hyper }, ['nll', 'norm'])
    return { loss: meanLoss(nll, batch.counted), gradientNorm: norm[0] }
  }

  get stats(): ProgramStats {
    return this.program.stats
  }

  dispose(): void {
    this.program.dispose()
  }
}

/** A part of a batch: forward and backward, its gradients added to those of the parts before. */
export class GradientPart {
  private readonly program: Program

  private constructor(program: Program) {
    this.program = program
  }

  static async create<E extends Example>(
    model: Model<E>,
    adapter: EngineAdapter,
    shape: BatchShape,
  ): Promise<GradientPart> {
    const inputs = [...model.inputs(shape), { name: 'factors', shape: [2], dtype: 'float32' } as const]
    return new GradientPart(
      await model.engine.program('gradientPart', inputs, (ops, given) => {
        const nll = model.lossAndGradients(ops, given, shape, adapter) // [rows]
        ops.accumulate(adapter.parameters, given.factors)
        return { nll }
      }),
    )
  }

  /**
   * `counted`: of the whole batch. With `read`, the part's losses as a sum.
   */
  async run(batch: Batch, counted: number, first: boolean, read: boolean): Promise<number> {
    const factors = Float32Array.of(first ? 0 : 1, batch.counted / counted)
    const { nll } = await this.program.run({ ...batch.inputs, factors }, read ? ['nll'] : [])
    return read ? meanLoss(nll, 1) : 0
  }

  get stats(): ProgramStats {
    return this.program.stats
  }

  dispose(): void {
    this.program.dispose()
  }
}

/** AdamW from the gradients that the parts have summed up. Reading gives `norm` [1], before clipping. */
export function accumulatedStep(engine: Engine, adapter: EngineAdapter): Promise<Program> {
  return engine.program('accumulatedStep', [HYPER_INPUT], (ops, { hyper }) => ({
    norm: ops.adamw(adapter.parameters, hyper, { accumulated: true }),
  }))
}

/** Rows that do not count hold 0. Summed in float64: float32 would lose digits over thousands of rows. */
export function meanLoss(nll: Float32Array, counted: number): number {
  let sum = 0
  for (const entry of nll) sum += entry
  return counted > 0 ? sum / counted : 0
}
