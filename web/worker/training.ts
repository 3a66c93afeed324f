/**
 * One training run in the worker: follows the trainer, passes its progress on, and keeps checkpoints and the
 * finished adapter in this browser, so that a reload or a lost device costs a few seconds of training at most.
 */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { writeAdapterFile } from '../../models/adapters/adapter-file.ts'
import { nextTask } from '../../models/backend/next-task.ts'
import type { LoadedModel } from '../../models/catalog/load.ts'
import { decodeCheckpoint, encodeCheckpoint } from '../../models/training/checkpoint.ts'
import type { Example } from '../../models/training/model.ts'
import { type TrainControl, type TrainResult, train } from '../../models/training/trainer.ts'
import { deleteCheckpoint, loadCheckpoint, saveCheckpoint, saveOutcome } from '../state/storage.ts'
import type { TrainOptions, TrainOutcome, TrainReport } from './api.ts'
import type { BetweenSteps } from './between-steps.ts'
import { type Pace, restMs, wallSeconds } from './pace.ts'

/** A reload loses about this much work. */
const CHECKPOINT_INTERVAL_MS = 1500

/** Of a large adapter on a slow disk a checkpoint takes long: at most a twentieth of the time goes into it. */
const CHECKPOINT_COST_RATIO = 20

export interface RunOptions {
  readonly model: LoadedModel['model']
  /** That pass through the device at once, at most. */
  readonly windows: number
  readonly data: { readonly train: readonly Example[]; readonly heldOut: readonly Example[] }
  readonly options: TrainOptions
  /** Where training starts. */
  readonly initial: Adapter
  readonly control: TrainControl
  readonly between: BetweenSteps
  /** Asked before each rest: it may change on the way. */
  readonly pace: () => Pace
  /** The adapter as it was at the latest checkpoint. */
  readonly onAdapter: (adapter: Adapter, step: number) => void
  readonly onProgress: (report: TrainReport) => void
  readonly onCheckpoint: (step: number | null) => void
}

/** Throws what the trainer throws, and `checkpoint/…` when the kept checkpoint is of another run. */
export async function runTraining(run: RunOptions): Promise<{ adapter: Adapter; outcome: TrainOutcome }> {
  const { model, windows, data, options, initial, control, between, onAdapter, onCheckpoint } = run
  const { adapter: shape, recipe: planned } = options.manifest
  const recipe = { ...planned, steps: options.steps }
  const kept = await keptCheckpoint(options)
  if (options.paused) control.pause()
  let checkpointCostMs = 0
  const training = train({
    model,
    initial,
    form: shape.form,
    examples: data.train,
    heldOut: data.heldOut,
    recipe,
    microBatch: windows,
    seed: options.round === 1 ? options.sessionKey : `${options.sessionKey}/${options.round}`,
    resume: kept && decodeCheckpoint(kept),
    control,
    checkpoints: {
      get everyMs() {
        return Math.max(CHECKPOINT_INTERVAL_MS, CHECKPOINT_COST_RATIO * checkpointCostMs)
      },
      async save(checkpoint) {
        const began = performance.now()
        onAdapter(checkpoint.adapter, checkpoint.step)
        try {
          await saveCheckpoint(options.sessionKey, encodeCheckpoint(checkpoint))
          onCheckpoint(checkpoint.step)
        } catch (error) {
          if (!isStorageRefusal(error)) throw error
          onCheckpoint(null)
        }
        checkpointCostMs = performance.now() - began
        if (control.paused) between.rest()
      },
    },
  })
  const result = await follow(training, recipe.evaluateEvery, run)
  const outcome: TrainOutcome = {
    steps: result.steps,
    plannedSteps: recipe.steps,
    stopped: result.stopped,
    examples: result.examples,
    tokens: result.tokens,
    tokensPerSecond: result.tokensPerSecond,
    best: result.best.heldOutLoss === null ? null : { ...result.best, heldOutLoss: result.best.heldOutLoss },
  }
  try {
    const adapter = writeAdapterFile(result.adapter)
    await saveOutcome(options.sessionKey, { adapter, report: outcome })
  } catch (error) {
    if (!isStorageRefusal(error)) throw error
    onCheckpoint(null)
  }
  return { adapter: result.adapter, outcome }
}

/** The checkpoint to go on from. A fresh run begins by deleting an earlier one: a reload must not find it. */
async function keptCheckpoint({ fresh, sessionKey }: TrainOptions): Promise<Uint8Array | undefined> {
  try {
    if (!fresh) return await loadCheckpoint(sessionKey)
    await deleteCheckpoint(sessionKey)
  } catch (error) {
    if (!isStorageRefusal(error)) throw error
  }
  return undefined
}

async function follow(
  training: AsyncGenerator<TrainReport, TrainResult, void>,
  evaluateEvery: number,
  { between, pace, onProgress }: RunOptions,
): Promise<TrainResult> {
  for (;;) {
    const began = performance.now()
    const next = await training.next()
    if (next.done) return next.value
    const { step, steps, loss, heldOutLoss, tokensPerSecond, secondsLeft } = next.value
    // The trainer repeats its latest measurement; the curve wants it where it was made.
    const measured = step % evaluateEvery === 0 || step === steps ? heldOutLoss : null
    const workMs = performance.now() - began
    onProgress({
      step,
      steps,
      loss,
      heldOutLoss: measured,
      tokensPerSecond,
      secondsLeft: wallSeconds(pace(), secondsLeft),
    })
    // Lets a pause or a stop from the page come in, whatever the executor does.
    await nextTask()
    await between.run()
    const rest = restMs(pace(), workMs)
    if (rest > 0 && step < steps) await new Promise((resolve) => setTimeout(resolve, rest))
  }
}

/** IndexedDB reports a full disk or a private window as a DOMException; anything else is a fault of ours. */
const isStorageRefusal = (error: unknown) => error instanceof DOMException
