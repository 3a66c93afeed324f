/**
 * The recipe's steps on the device at hand: each batch goes through the smallest of a few program shapes that holds
 * it, or, where the whole does not fit into the device's memory, in parts whose gradients are summed. What is
 * learned is the same within float32's rounding; only rows of padding and memory differ.
 */
import type { Program } from '../backend/engine.ts'
import { DeviceError } from '../errors.ts'
import type { BatchShape, EngineAdapter, Example, Model } from './model.ts'
import { cutToFit, fits } from './shapes.ts'
import { accumulatedStep, GradientPart, type StepReading, TrainingStep } from './step.ts'

/**
 * Intermediate buffers of one step beyond this are taken in parts: an integrated GPU of an ordinary laptop shares a
 * few GB with everything else, and a browser ends a tab that takes too much.
 */
const MAX_STEP_BYTES = 1e9

export interface StepOutcome {
  readonly processed: number
  /** Null where nothing was read. */
  readonly reading: StepReading | null
}

export class BatchSteps<E extends Example> {
  /** Windows that pass through at once, at most. */
  readonly windows: number
  private readonly model: Model<E>
  private readonly adapter: EngineAdapter
  private readonly shapes: readonly BatchShape[]
  private readonly whole = new Map<BatchShape, TrainingStep>()
  private readonly parts = new Map<BatchShape, GradientPart>()
  private apply: Program | null = null

  private constructor(model: Model<E>, adapter: EngineAdapter, shapes: readonly BatchShape[]) {
    this.model = model
    this.adapter = adapter
    this.shapes = shapes
    this.windows = shapes.at(-1)!.batch
  }

  /**
   * @param shapes smallest first, the last for a whole batch of the recipe
   * @param windows at most so many at once; fewer where the device does not take them
   */
  static async create<E extends Example>(
    model: Model<E>,
    adapter: EngineAdapter,
    shapes: readonly BatchShape[],
    windows?: number,
  ): Promise<BatchSteps<E>> {
    const { batch, tokens } = shapes.at(-1)!
    let most = Math.min(windows ?? batch, batch)
    for (;;) {
      const limit = { batch: most, tokens }
      const smaller = shapes.filter((shape) => shape.batch * shape.tokens < most * tokens)
      const steps = new BatchSteps(model, adapter, [...smaller.filter((shape) => shape.batch <= most), limit])
      const halve = most > 1
      try {
        const largest = most < batch ? await steps.part(limit) : await steps.step(limit)
        if (!halve || largest.stats.intermediateBytes <= MAX_STEP_BYTES) return steps
        steps.dispose()
      } catch (error) {
        steps.dispose()
        if (!halve || !(error instanceof DeviceError) || error.code !== 'device/buffer-too-large') throw error
      }
      most = Math.ceil(most / 2)
    }
  }

  async run(examples: readonly E[], hyper: Float32Array, read: boolean): Promise<StepOutcome> {
    const parts = cutToFit(this.model, examples, this.shapes.at(-1)!)
    if (parts.length > 1) return this.inParts(parts, hyper, read)
    const shape = this.shapeFor(examples)
    const step = await this.step(shape)
    const batch = this.model.collate(examples, shape)
    if (!read) await step.run(batch, hyper)
    return {
      processed: batch.processed,
      reading: read ? await step.runAndRead(batch, hyper) : null,
    }
  }

  dispose(): void {
    for (const step of [...this.whole.values(), ...this.parts.values()]) step.dispose()
    this.apply?.dispose()
    this.whole.clear()
    this.parts.clear()
    this.apply = null
  }

  private async inParts(parts: readonly E[][], hyper: Float32Array, read: boolean): Promise<StepOutcome> {
    const counted = parts.flat().reduce((total, example) => total + example.counted, 0)
    let processed = 0
    let loss = 0
    for (const [index, part] of parts.entries()) {
      const shape = this.shapeFor(part)
      const program = await this.part(shape)
      const batch = this.model.collate(part, shape)
      processed += batch.processed
      // In turn: a run that waits for its place on the device must not be overtaken by another program's.
      loss += (await program.run(batch, counted, index === 0, read)) / Math.max(1, counted)
    }
    this.apply ??= await accumulatedStep(this.model.engine, this.adapter)
    const { norm } = await this.apply.run({ hyper }, read ? ['norm'] : [])
    return { processed, reading: read ? { loss, gradientNorm: norm[0] } : null }
  }

  private shapeFor(examples: readonly E[]): BatchShape {
    return this.shapes.find((shape) => fits(this.model, examples, shape)) ?? this.shapes.at(-1)!
  }

  private async step(shape: BatchShape): Promise<TrainingStep> {
    const known = this.whole.get(shape)
    if (known) return known
    const made = await TrainingStep.create(this.model, this.adapter, shape)
    this.whole.set(shape, made)
    return made
  }

  private async part(shape: BatchShape): Promise<GradientPart> {
    const known = this.parts.get(shape)
    if (known) return known
    const made = await GradientPart.create(this.model, this.adapter, shape)
    this.parts.set(shape, made)
    return made
  }
}
