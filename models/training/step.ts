/** One optimiser step as a program: forward, backward and AdamW in a single run on the device. */
import type { Program } from '../backend/engine.ts'
import type { Batch, BatchShape, EngineAdapter, Example, Model } from './model.ts'

export interface StepReading {
  /** Mean over the batch's counted targets. */
  readonly loss: number
  /** Global norm before clipping. */
  readonly gradientNorm: number
}

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
    const inputs = [...model.inputs(shape), { name: 'hyper', shape: [8], dtype: 'float32' } as const]
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

  get stats() {
    return this.program.stats
  }

  dispose(): void {
    this.program.dispose()
  }
}

/** Rows that do not count hold 0. Summed in float64: float32 would lose digits over thousands of rows. */
export function meanLoss(nll: Float32Array, counted: number): number {
  let sum = 0
  for (const entry of nll) sum += entry
  return counted > 0 ? sum / counted : 0
}
