/** Training as the page steers it: the worker trains and keeps checkpoints, this file follows and asks. */
import { train as text } from '../strings/train.ts'
import type { TrainReport } from '../worker/api.ts'
import type { Pace } from '../worker/pace.ts'
import { refreshCounters } from './counters.ts'
import { appendPoint } from './curve.ts'
import { move, roundState } from './machine.ts'
import { measure } from './measuring.ts'
import { toProblem } from './problems.ts'
import { packUpdate } from './reviewing.ts'
import { takeStart } from './round-start.ts'
import { stopTiming } from './run-time.ts'
import { sampleNow } from './sampling.ts'
import { keepSession, sessionKey } from './session.ts'
import {
  announcement,
  checkpointStep,
  curve,
  manifest,
  measured,
  origin,
  outcome,
  pace,
  plannedSteps,
  problem,
  resetTraining,
  stopping,
  storageWorks,
  trainReport,
} from './store.ts'
import { callback, inWorker, isDeviceProblem, loseDevice } from './worker-client.ts'

/** A screen reader hears of every tenth of the way, not of every step. */
const ANNOUNCED_SHARES = 10

export function backToData(): void {
  move('ready', { at: 'data' })
}

/** Where training has been done already and nothing was changed since. */
export function backToReview(): void {
  move('ready', { at: 'reviewing' })
}

export function startTraining(): void {
  if (!move('ready', { at: 'training' })) return
  resetTraining()
  sampleNow.value = null
  void runTraining({ fresh: true, paused: false })
}

/** Trains until done, stopped or failed; goes on from the kept checkpoint unless `fresh`. */
export async function runTraining({ fresh, paused }: { fresh: boolean; paused: boolean }): Promise<void> {
  const room = manifest.peek()
  if (!room) return
  keepSession()
  try {
    await stopTiming()
    if (fresh) await measureStart()
    outcome.value = await inWorker((api) =>
      api.train(
        {
          manifest: room,
          steps: plannedSteps.peek(),
          sessionKey: sessionKey(),
          round: origin.peek()?.round ?? 1,
          fresh,
          // The pause may have come while the base model was measured.
          pace: pace.peek(),
          paused: paused || roundState.peek().at === 'paused',
        },
        callback(onReport),
        callback(onCheckpoint),
      ),
    )
    await refreshCounters()
  } catch (error) {
    const found = toProblem(error)
    if (isDeviceProblem(found)) return loseDevice(found)
    problem.value = found
    move(['training', 'paused'], { at: 'ready' })
    return
  } finally {
    stopping.value = false
  }
  if (move(['training', 'paused'], { at: 'reviewing' })) {
    keepSession()
    await packUpdate()
  }
}

/** Where the curve begins: what the base model, or the version that training goes on from, makes of the held-out text. */
async function measureStart(): Promise<void> {
  await measure('base')
  await takeStart()
  const { loss } = (origin.peek()?.version ? measured.merged : measured.base).peek()
  if (loss !== null) curve.value = [{ step: 0, loss: null, heldOutLoss: loss }]
}

function onReport(report: TrainReport): void {
  const before = trainReport.peek()
  trainReport.value = report
  curve.value = appendPoint(curve.peek(), {
    step: report.step,
    loss: report.loss,
    heldOutLoss: report.heldOutLoss,
  })
  const share = (step: number) => Math.floor((ANNOUNCED_SHARES * step) / report.steps)
  if (before && share(report.step) > share(before.step)) {
    announcement.value = text.announce(report.step / report.steps, report.secondsLeft)
  }
}

function onCheckpoint(step: number | null): void {
  if (step === null) {
    storageWorks.value = false
    return
  }
  checkpointStep.value = step
  keepSession()
}

export function pauseTraining(): void {
  if (!move('training', { at: 'paused' })) return
  keepSession()
  void inWorker((api) => api.pause())
}

export function resumeTraining(): void {
  if (!move('paused', { at: 'training' })) return
  keepSession()
  void inWorker((api) => api.resume())
}

export function setPace(asked: Pace): void {
  pace.value = asked
  keepSession()
  void inWorker((api) => api.setPace(asked))
}

export function stopTraining(): void {
  stopping.value = true
  void inWorker((api) => api.stop())
}
