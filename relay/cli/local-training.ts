/** One training run on this machine, with its progress line. Ctrl-C stops it and keeps nothing. */
import type { Adapter, AdapterForm } from '../../models/adapters/adapter.ts'
import type { Example } from '../../models/training/model.ts'
import type { Recipe } from '../protocol/index.ts'
import type { Console } from './console.ts'
import { loss, rate } from './format.ts'
import type { RunningModel } from './running-model.ts'

export interface TrainingRun {
  readonly initial: Adapter
  /** Left out: A and B. */
  readonly form?: AdapterForm | undefined
  readonly microBatch?: number | undefined
  readonly examples: readonly Example[]
  readonly heldOut: readonly Example[]
  readonly recipe: Recipe
  /** Of the order in which examples are seen. */
  readonly seed: string
  /** Told after each step. */
  readonly onStep?: ((at: { step: number; steps: number; tokensPerSecond: number }) => void) | undefined
}

/** Throws DeviceError, DataError, or the signal's reason. */
export async function trainHere(
  { model, windows }: RunningModel,
  run: TrainingRun,
  console: Console,
  signal: AbortSignal,
) {
  const { train } = await import('../../models/training/trainer.ts')
  const progress = console.progress('Training', run.recipe.steps, 'steps')
  const counted = `${model.units.counted}s`
  const training = train({ model, ...run, microBatch: run.microBatch ?? windows })
  try {
    for (;;) {
      signal.throwIfAborted()
      const next = await training.next()
      if (next.done) {
        const { tokensPerSecond, best } = next.value
        progress.finish(rate(tokensPerSecond, counted))
        if (best.step === 0 && best.heldOutLoss !== null)
          console.note(
            'No step did better on the held-out data than the start did: the adapter is left as it started. More data, fewer steps or a lower --learning-rate may help.',
          )
        return next.value
      }
      const { step, loss: now, heldOutLoss, secondsLeft, tokensPerSecond } = next.value
      const heldOut = heldOutLoss === null ? '' : `, held out ${loss(heldOutLoss)}`
      run.onStep?.({ step, steps: run.recipe.steps, tokensPerSecond })
      progress.update(step, `${rate(tokensPerSecond, counted)}, loss ${loss(now)}${heldOut}`, secondsLeft)
    }
  } catch (error) {
    progress.abort()
    throw error
  } finally {
    // Frees what the run holds on the device when it is left early.
    await training.return(undefined as never)
  }
}
