/**
 * Writes down where this tab is, so that a reload goes on. A browser that refuses (private window, full disk)
 * costs the person that comfort and nothing else, and the page says so.
 */
import { effect } from '@preact/signals'
import { roundState } from './machine.ts'
import {
  forgetOldSessions,
  forgetSession,
  loadWire,
  type SavedSession,
  type Stage,
  saveFiles,
  saveSession,
  saveStart,
  saveWire,
} from './storage.ts'
import {
  clipNorm,
  curve,
  earlierReceipts,
  files,
  forgotten,
  goesOn,
  includeExamples,
  manifestDigest,
  origin,
  outcome,
  pace,
  receipt,
  storageWorks,
} from './store.ts'
import { restoreWire, wireRevision, wireToSave } from './wire.ts'

let key = ''
let membership: SavedSession['membership'] = null

export const sessionKey = () => key

export function beginSession(room: string, tab: string, saved: SavedSession | null): void {
  key = `${room}/${tab}`
  membership = saved?.membership ?? null
  tryToKeep(forgetOldSessions(key, Date.now()))
  if (saved) tryToKeep(restoreWireLog())
}

async function restoreWireLog(): Promise<void> {
  const kept = await loadWire(key)
  if (kept) restoreWire(kept)
}

/** An upload makes hundreds of entries a second; a second's worth is lost to a crash at most. */
const WIRE_SAVE_INTERVAL_MS = 1000
let wireTimer: ReturnType<typeof setTimeout> | null = null

// The log is kept with the session, and from when there is one: before it, nothing has been sent.
effect(() => {
  wireRevision.value
  if (stageNow() === null || wireTimer !== null) return
  wireTimer = setTimeout(() => {
    wireTimer = null
    if (stageNow() !== null && !forgotten.peek()) tryToKeep(saveWire(key, wireToSave()))
  }, WIRE_SAVE_INTERVAL_MS)
})

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
      // Whoever has trained already has something to lose.
      return outcome.peek() ? 'reviewing' : 'data'
    case 'training':
      return 'training'
    case 'paused':
      return 'paused'
    case 'reviewing':
    case 'sending':
      return 'reviewing'
    case 'sent':
      return 'sent'
    case 'result':
      return 'result'
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
      clipNorm: clipNorm.peek(),
      pace: pace.peek(),
      receipt: receipt.peek(),
      earlierReceipts: earlierReceipts.peek(),
      origin: origin.peek(),
      goesOn: goesOn.peek(),
      curve: curve.peek(),
    }),
  )
}

export function keepFiles(): void {
  if (!forgotten.peek()) tryToKeep(saveFiles(key, files.peek()))
}

export function keepStart(file: Uint8Array): void {
  if (!forgotten.peek()) tryToKeep(saveStart(key, file))
}

/** Deletes what this browser keeps of the session. */
export const forgetThisSession = () => forgetSession(key)

function tryToKeep(writing: Promise<void>): void {
  writing.catch(() => {
    storageWorks.value = false
  })
}
