/**
 * Trains an adapter on local examples: AdamW over shuffled batches, measured on held-out examples now and then,
 * the best adapter kept. Knows no family: a `Model` lays examples out and describes its loss.
 *
 * An async generator, so that whoever follows it sets the pace: it yields progress whenever the loss has been
 * read back, can be paused and stopped between steps (`TrainControl`), and hands out checkpoints from which a
 * later run goes on to the same bits. What is trained depends on the arguments alone; two runs, in either order
 * or in different tabs, do not touch each other.
 */
import { type Adapter, type AdapterForm, formOf } from '../adapters/adapter.ts'
import { DataError, ModelsError } from '../errors.ts'
import { BatchSteps } from './batch-steps.ts'
import { type BestAdapter, type Checkpoint, checkSameRun, type RunIdentity } from './checkpoint.ts'
import { TrainControl } from './control.ts'
import { checkAdapterFits, placeAdapter, readAdapter } from './engine-adapter.ts'
import { Evaluator } from './evaluate.ts'
import { ExampleOrder } from './example-order.ts'
import type { Example, Model } from './model.ts'
import { checkRecipe, type Recipe } from './recipe.ts'
import { hyperParameters, learningRateAt } from './schedule.ts'
import { chooseShapes } from './shapes.ts'

export { TrainControl } from './control.ts'
export { type Evaluation, evaluate } from './evaluate.ts'
export type { Recipe } from './recipe.ts'

export interface TrainOptions<E extends Example> {
  readonly model: Model<E>
  /** Where training starts; not changed. */
  readonly initial: Adapter
  /** What of it is trained; left out: A and B, or the cores where it has some. */
  readonly form?: AdapterForm | undefined
  /** Windows that pass through the device at once, at most; left out: as many of the batch as its memory takes. */
  readonly microBatch?: number | undefined
  readonly examples: readonly E[]
  /** Measured on, never trained on; may be empty. */
  readonly heldOut: readonly E[]
  readonly recipe: Recipe
  /** Fixes the order of examples. */
  readonly seed: string
  readonly resume?: Checkpoint
  readonly control?: TrainControl
  /** Receives a checkpoint every `everyMs` of training, and whenever the run is paused. */
  readonly checkpoints?: { readonly everyMs: number; save(checkpoint: Checkpoint): Promise<void> | void }
}

export interface TrainProgress {
  /** Steps done, of `steps`. */
  readonly step: number
  readonly steps: number
  /** Of this step's batch. */
  readonly loss: number
  /** The latest measurement, if any. */
  readonly heldOutLoss: number | null
  /** Before clipping. */
  readonly gradientNorm: number
  readonly learningRate: number
  /** Training alone, without measurements and pauses; padding not counted. */
  readonly tokensPerSecond: number
  readonly secondsLeft: number
}

export interface TrainResult {
  /** The one with the lowest held-out loss, which may be the start itself; without held-out examples the last. */
  readonly adapter: Adapter
  /** Which step `adapter` is of, 0 if training never beat the start. `heldOutLoss`: null without held-out examples. */
  readonly best: { readonly step: number; readonly heldOutLoss: number | null }
  /** Held-out loss of the start, before the first step. */
  readonly startLoss: number | null
  /** Steps done. */
  readonly steps: number
  /** Examples that training drew from: a client's weight in the merge. */
  readonly examples: number
  readonly tokens: number
  readonly tokensPerSecond: number
  /** True where it was stopped before the last step. */
  readonly stopped: boolean
}

/** Often enough for a live chart, seldom enough that a quick GPU is not kept waiting. */
const READ_INTERVAL_MS = 250
/** Steps queued on a device at most before it is waited for. */
const MAX_STEPS_AHEAD = 8

/** Program shapes are chosen by the batches of so many steps: later ones are drawn from the same examples. */
const STEPS_LOOKED_AT = 256

/**
 * Throws ModelsError `recipe/invalid` or `training/diverged`, DataError `data/empty`, MismatchError for an
 * adapter of another base or a checkpoint of another run, DeviceError when the device is lost.
 */
export async function* train<E extends Example>(
  options: TrainOptions<E>,
): AsyncGenerator<TrainProgress, TrainResult, void> {
  const { model, initial, examples, heldOut, recipe, seed, resume, checkpoints } = options
  const control = options.control ?? new TrainControl()
  checkRecipe(recipe)
  checkAdapterFits(model, initial)
  if (examples.length === 0) throw new DataError('data/empty', 'There is nothing to train on; add more data.')
  const counted = examples.reduce((total, example) => total + example.counted, 0)
  const form = options.form ?? formOf(initial)
  const run: RunIdentity = { recipe, seed, form, examples: examples.length, counted }
  if (resume) {
    checkSameRun(resume, run)
    checkAdapterFits(model, resume.adapter)
  }

  const order = new ExampleOrder(examples.length, recipe.batch, seed)
  const batchOf = (step: number) => order.ofStep(step).map((index) => examples[index])
  const seenAt = (step: number) => model.asTrained?.(batchOf(step), seed, step) ?? batchOf(step)
  const steps = Array.from({ length: Math.min(recipe.steps, STEPS_LOOKED_AT) }, (_, i) => i + 1)
  const shapes = chooseShapes(model, { batch: recipe.batch, tokens: recipe.tokens }, steps.map(batchOf))
  const adapter = placeAdapter(model.engine, resume?.adapter ?? initial, form)
  const owned: { dispose(): void }[] = [adapter]
  try {
    if (resume) adapter.parameters.writeMoments(resume.first, resume.second)
    const batchSteps = await BatchSteps.create(model, adapter, shapes, options.microBatch)
    owned.push(batchSteps)
    let evaluator: Evaluator<E> | null = null
    if (heldOut.length > 0) {
      evaluator = await Evaluator.create(model, adapter, { batch: batchSteps.windows, tokens: recipe.tokens })
      owned.push(evaluator)
    }

    let step = resume?.step ?? 0
    let tokens = resume?.tokens ?? 0
    let heldOutLoss = resume?.heldOutLoss ?? null
    let best: BestAdapter | null = resume?.best ?? null
    let startLoss = resume?.startLoss ?? null
    const clock = new Clock(resume?.seconds ?? 0, resume?.tokens ?? 0)
    let lastRead = step
    let readAny = false
    let lastSaved = performance.now()
    let measuredAt = -1

    const save = async () => {
      if (!checkpoints) return
      const { first, second } = await adapter.parameters.readMoments()
      const now = await readAdapter(adapter, initial)
      await checkpoints.save({
        run,
        step,
        tokens,
        seconds: clock.seconds,
        heldOutLoss,
        startLoss,
        adapter: now,
        first,
        second,
        best,
      })
      lastSaved = performance.now()
    }
    const measure = async () => {
      if (!evaluator || measuredAt === step) return
      const start = performance.now()
      heldOutLoss = (await evaluator.run(heldOut)).loss
      if (!Number.isFinite(heldOutLoss)) throw diverged(step, recipe)
      if (!best || heldOutLoss < best.heldOutLoss) {
        best = { step, heldOutLoss, adapter: await readAdapter(adapter, initial) }
      }
      measuredAt = step
      clock.measured(performance.now() - start)
    }

    // Training has to beat where it starts, or the start is what is kept.
    if (step === 0) {
      await measure()
      startLoss = heldOutLoss
    }
    let waitingSince = performance.now()
    while (step < recipe.steps && !control.stopped) {
      if (control.paused) {
        await save()
        await control.untilRunning()
        waitingSince = performance.now()
        continue
      }
      step++
      const hyper = hyperParameters(recipe, step)
      const evaluates = step % recipe.evaluateEvery === 0 || step === recipe.steps
      const reads =
        evaluates ||
        step - lastRead >= MAX_STEPS_AHEAD ||
        !readAny ||
        model.engine.executor === 'eager' ||
        performance.now() - waitingSince >= READ_INTERVAL_MS
      const { processed, reading } = await batchSteps.run(seenAt(step), hyper, reads)
      tokens += processed
      if (!reading) continue
      const { loss, gradientNorm } = reading
      clock.trained(performance.now() - waitingSince, step - lastRead, tokens)
      lastRead = step
      readAny = true
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) throw diverged(step, recipe)
      if (evaluates) await measure()
      if (performance.now() - lastSaved >= (checkpoints?.everyMs ?? Number.POSITIVE_INFINITY)) await save()
      const evaluationsLeft = evaluator ? Math.ceil((recipe.steps - step) / recipe.evaluateEvery) : 0
      yield {
        step,
        steps: recipe.steps,
        loss,
        heldOutLoss,
        gradientNorm,
        learningRate: learningRateAt(recipe, step),
        tokensPerSecond: clock.tokensPerSecond,
        secondsLeft: clock.secondsLeft(recipe.steps - step, evaluationsLeft),
      }
      waitingSince = performance.now()
    }

    await measure()
    const found: BestAdapter | null = best
    return {
      adapter: found?.adapter ?? (await readAdapter(adapter, initial)),
      best: { step: found?.step ?? step, heldOutLoss: found?.heldOutLoss ?? null },
      startLoss,
      steps: step,
      examples: examples.length,
      tokens,
      tokensPerSecond: clock.tokensPerSecond,
      stopped: step < recipe.steps,
    }
  } finally {
    for (const one of owned.reverse()) one.dispose()
  }
}

function diverged(step: number, recipe: Recipe): ModelsError {
  return new ModelsError(
    'training/diverged',
    `The loss is no longer a number at step ${step}; train again with a learning rate below ${recipe.learningRate}.`,
  )
}

/** Time of training and of measuring, apart. */
class Clock {
  private trainingMs: number
  private tokens: number
  private steps = 0
  private stepMs = 0
  private measurementMs = 0
  private measurements = 0

  constructor(secondsBefore: number, tokensBefore: number) {
    this.trainingMs = secondsBefore * 1000
    this.tokens = tokensBefore
  }

  get seconds(): number {
    return this.trainingMs / 1000
  }

  get tokensPerSecond(): number {
    return this.seconds > 0 ? this.tokens / this.seconds : 0
  }

  /** `steps` steps took `milliseconds`; `tokens` are all so far. */
  trained(milliseconds: number, steps: number, tokens: number): void {
    this.trainingMs += milliseconds
    this.tokens = tokens
    this.steps += steps
    this.stepMs += milliseconds
  }

  measured(milliseconds: number): void {
    this.measurementMs += milliseconds
    this.measurements++
  }

  secondsLeft(steps: number, measurements: number): number {
    const step = this.steps > 0 ? this.stepMs / this.steps : 0
    // Until the first measurement its time is unknown; a step's stands in, a forward pass being a third of one.
    const measurement = this.measurements > 0 ? this.measurementMs / this.measurements : step
    return (steps * step + measurements * measurement) / 1000
  }
}
