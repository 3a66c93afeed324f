/**
 * Writes down where this tab is, so that a reload goes on. A browser that refuses (private window, full disk)
 * costs the person that comfort and nothing else, and the page says so.
 */
import { roundState } from './machine.ts'
import {
  forgetOldSessions,
  forgetSession,
  type SavedSession,
  type Stage,
  saveFiles,
  saveSession,
} from './storage.ts'
import { curve, files, forgotten, includeExamples, manifestDigest, receipt, storageWorks } from './store.ts'

let key = ''
let membership: SavedSession['membership'] = null

export const sessionKey = () => key

export function beginSession(room: string, tab: string, saved: SavedSession | null): void {
  key = `${room}/${tab}`
  membership = saved?.membership ?? null
  tryToKeep(forgetOldSessions(key, Date.now()))
}

export const savedMembership = () => membership

export function keepMembership(fresh: NonNullable<SavedSession['membership']>): void {
  membership = fresh
  keepSession()
}

/** The stage that a reload should return to, from where the round is now. */
function stageNow(): Stage | null {
  switch (roundState.peek().at) {
    case 'data':
    case 'ready':
      return 'data'
    case 'training':
      return 'training'
    case 'paused':
      return 'paused'
    case 'reviewing':
    case 'sending':
      return 'reviewing'
    case 'sent':
    case 'result':
      return 'sent'
    default:
      return null
  }
}

export function keepSession(): void {
  const stage = stageNow()
  if (stage === null || forgotten.peek()) return
  tryToKeep(
    saveSession(key, {
      manifestDigest: manifestDigest.peek(),
      stage,
      savedAt: Date.now(),
      membership,
      includeExamples: includeExamples.peek(),
      receipt: receipt.peek(),
      curve: curve.peek(),
    }),
  )
}

export function keepFiles(): void {
  if (!forgotten.peek()) tryToKeep(saveFiles(key, files.peek()))
}

/** Deletes what this browser keeps of the session. */
export const forgetThisSession = () => forgetSession(key)

function tryToKeep(writing: Promise<void>): void {
  writing.catch(() => {
    storageWorks.value = false
  })
}
