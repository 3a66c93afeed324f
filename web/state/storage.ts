/**
 * What this browser keeps of a round, in IndexedDB: the person's files, the last checkpoint, the finished
 * adapter and where they are, so that a reload goes on. Used by the page and by its worker. Keys start with the
 * room and with an id of this tab, so two tabs are two people. Nothing here ever leaves the browser.
 */
import { clear, createStore, del, delMany, get, keys, set, type UseStore } from 'idb-keyval'
import type { Receipt } from '../../relay/protocol/messages.ts'
import type { LocalFile } from '../worker/api.ts'
import type { Pace } from '../worker/pace.ts'
import type { CurvePoint, Origin } from './store.ts'
import type { WireEntry } from './wire.ts'

/** Long enough for "I'll look at the merged model tomorrow morning", short enough for a shared computer. */
export const KEEP_SESSIONS_MS = 24 * 60 * 60 * 1000

export type Stage = 'data' | 'training' | 'paused' | 'reviewing' | 'sent' | 'result'

export interface SavedSession {
  readonly manifestDigest: string
  readonly stage: Stage
  readonly savedAt: number
  /** What the relay knows this participant by, to continue an upload. */
  readonly membership: { readonly participant: string; readonly token: string } | null
  readonly includeExamples: boolean
  readonly clipNorm: number | null
  readonly pace: Pace
  readonly receipt: Receipt | null
  readonly earlierReceipts: readonly Receipt[]
  readonly origin: Origin | null
  readonly goesOn: boolean
  readonly curve: readonly CurvePoint[]
}

type Part = 'session' | 'files' | 'start' | 'checkpoint' | 'outcome' | 'wire'
const parts: readonly Part[] = ['session', 'files', 'start', 'checkpoint', 'outcome', 'wire']

let opened: UseStore | undefined
const store = () => {
  opened ??= createStore('oneround-sessions', 'sessions')
  return opened
}

const at = (sessionKey: string, part: Part) => `${sessionKey}/${part}`

export const loadSession = (key: string) => get<SavedSession>(at(key, 'session'), store())
export const saveSession = (key: string, session: SavedSession) => set(at(key, 'session'), session, store())
export const loadFiles = (key: string) => get<readonly LocalFile[]>(at(key, 'files'), store())
export const saveFiles = (key: string, files: readonly LocalFile[]) => set(at(key, 'files'), files, store())
/** The file that a round's training starts from. */
export const loadStart = (key: string) => get<Uint8Array>(at(key, 'start'), store())
export const saveStart = (key: string, bytes: Uint8Array) => set(at(key, 'start'), bytes, store())
export const loadCheckpoint = (key: string) => get<Uint8Array>(at(key, 'checkpoint'), store())
export const saveCheckpoint = (key: string, bytes: Uint8Array) => set(at(key, 'checkpoint'), bytes, store())
export const deleteCheckpoint = (key: string) => del(at(key, 'checkpoint'), store())

export const loadWire = (key: string) => get<readonly WireEntry[]>(at(key, 'wire'), store())
export const saveWire = (key: string, entries: readonly WireEntry[]) => set(at(key, 'wire'), entries, store())

/** The trained adapter in a file of its own form, with what training reported. */
export interface SavedOutcome<Report> {
  readonly adapter: Uint8Array
  readonly report: Report
}
export const loadOutcome = <Report>(key: string) => get<SavedOutcome<Report>>(at(key, 'outcome'), store())
export const saveOutcome = <Report>(key: string, outcome: SavedOutcome<Report>) =>
  set(at(key, 'outcome'), outcome, store())

/** Deletes everything kept for one session. */
export const forgetSession = (key: string) =>
  delMany(
    parts.map((part) => at(key, part)),
    store(),
  )

/** Deletes every session, of this tab and of all others. */
export const forgetAllSessions = () => clear(store())

/** Deletes sessions that nobody has touched for KEEP_SESSIONS_MS, `current` excepted. */
export async function forgetOldSessions(current: string, now: number): Promise<void> {
  const stored = (await keys<string>(store())).filter((key) => key.endsWith('/session'))
  for (const sessionEntry of stored) {
    const key = sessionEntry.slice(0, -'/session'.length)
    const session = await loadSession(key)
    if (key !== current && session && now - session.savedAt > KEEP_SESSIONS_MS) await forgetSession(key)
  }
}
