/** Back to where a saved session was: after a reload, and after a device was lost. */
import { measureResult } from './comparing.ts'
import { move, type RoundState } from './machine.ts'
import { keepPage } from './offline.ts'
import { closeDevice, prepareModel } from './preparing.ts'
import { toProblem } from './problems.ts'
import { readAll } from './reading.ts'
import { connect } from './relay.ts'
import { fetchRoomNews } from './relay-http.ts'
import { packUpdate } from './reviewing.ts'
import { restoreStart } from './round-start.ts'
import { keepSession, sessionKey } from './session.ts'
import { loadFiles, loadSession, type SavedSession } from './storage.ts'
import {
  clipNorm,
  curve,
  dataReport,
  earlierReceipts,
  files,
  goesOn,
  includeExamples,
  manifest,
  manifestDigest,
  origin,
  outcome,
  pace,
  problem,
  receipt,
} from './store.ts'
import { runTraining } from './training.ts'
import { inWorker, isDeviceProblem, loseDevice } from './worker-client.ts'

/** Goes on from `saved`. The round must be at 'loading'. */
export async function restore(saved: SavedSession): Promise<void> {
  includeExamples.value = saved.includeExamples
  clipNorm.value = saved.clipNorm
  pace.value = saved.pace
  receipt.value = saved.receipt
  earlierReceipts.value = saved.earlierReceipts
  origin.value = saved.origin
  goesOn.value = saved.goesOn
  try {
    await rejoin()
    await prepareModel()
    files.value = (await loadFiles(sessionKey())) ?? files.peek()
    await readAll()
    await restoreStart()
  } catch (error) {
    return restoreFailed(error)
  }
  void keepPage()
  // The relay's word counts more than this browser's: it may have the update of a tab that died waiting for it.
  await goOn(stageWith(receipt.peek() !== null, saved.stage), saved)
}

/** Whoever has a receipt needs no connection: the result is there over HTTP, whatever refuses the join. */
async function rejoin(): Promise<void> {
  try {
    await connect()
  } catch (error) {
    const room = manifest.peek()
    if (!receipt.peek() || !room) throw error
    problem.value = toProblem(error)
    await fetchRoomNews(room.room)
  }
}

/** The result may be looked at without having sent, and what was sent may have been taken back. */
function stageWith(isSent: boolean, stage: SavedSession['stage']): SavedSession['stage'] {
  if (stage === 'result') return 'result'
  if (isSent) return 'sent'
  return stage === 'sent' ? 'reviewing' : stage
}

async function goOn(stage: SavedSession['stage'], saved: SavedSession): Promise<void> {
  const { examples, ready } = {
    examples: dataReport.peek()?.trainExamples ?? 0,
    ready: files.peek().length > 0,
  }
  switch (stage) {
    case 'data':
      move('loading', { at: 'data' })
      return
    case 'training':
    case 'paused': {
      if (!ready || examples === 0) {
        move('loading', { at: 'data' })
        return
      }
      curve.value = saved.curve
      move('loading', { at: stage })
      await runTraining({ fresh: false, paused: stage === 'paused' })
      return
    }
    case 'reviewing':
    case 'sent':
    case 'result': {
      const kept = await restoreOutcome()
      if (!kept) {
        move('loading', { at: 'data' })
        return
      }
      move('loading', { at: stage })
      keepSession()
      await packUpdate()
      if (stage === 'result') measureResult()
      return
    }
    default: {
      const never: never = stage
      return never
    }
  }
}

async function restoreOutcome(): Promise<boolean> {
  try {
    outcome.value = await inWorker((api) => api.restoreOutcome(sessionKey()))
  } catch (error) {
    problem.value = toProblem(error)
  }
  return outcome.peek() !== null
}

/** After a lost device: another device, the same session. */
export async function resumeFromCheckpoint(): Promise<void> {
  const next: RoundState = { at: 'loading', continuing: true }
  if (!move('lost', next)) return
  closeDevice()
  try {
    const saved = await loadSession(sessionKey())
    if (saved && saved.manifestDigest === manifestDigest.peek()) return await restore(saved)
    // Nothing was chosen yet when the device went.
    await connect()
    await prepareModel()
    if (manifest.peek()) await readAll()
    move('loading', { at: 'data' })
  } catch (error) {
    restoreFailed(error)
  }
}

function restoreFailed(error: unknown): void {
  const found = toProblem(error)
  if (isDeviceProblem(found)) loseDevice(found)
  else move('loading', { at: 'failed', problem: found })
}
