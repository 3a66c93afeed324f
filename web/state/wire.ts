/**
 * Every message between this page and the relay, since this tab joined: each frame of the socket in both
 * directions as it travelled, and each HTTP request with its answer. Written by whoever talks to the relay, read
 * by the panel that shows it and by `window.oneround`; nothing here is ever sent.
 *
 * Requests have no body: an address and the browser's own headers, so an HTTP exchange is one entry, of the
 * answer's size.
 */
import { signal } from '@preact/signals'

export interface WireEntry {
  readonly direction: 'out' | 'in'
  readonly event: string
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly time: number
  /** As it travelled; null where only the size is kept. */
  readonly payload: string | Uint8Array | null
  /** Of this tab's visit before a reload. */
  readonly earlier: boolean
}

/**
 * Contents kept for display. Two uploads of the embedded model's size are a hundredth of it; of a longer log the
 * sizes stay and the contents of what came later do not.
 */
const MAX_KEPT_PAYLOAD_BYTES = 64 * 1024 * 1024

/** Texts this short are kept over a reload too; a manifest of a large model has about 70 KB. */
const MAX_SAVED_TEXT_CHARACTERS = 100_000

let entries: WireEntry[] = []
let keptPayloadBytes = 0

/** Grows with every entry: what shows the log reads this and then `wireEntries()`. */
export const wireRevision = signal(0)

export const wireEntries = (): readonly WireEntry[] => entries

export function recordWire(entry: Pick<WireEntry, 'direction' | 'event' | 'bytes' | 'payload'>): void {
  const keeps = entry.payload !== null && keptPayloadBytes + entry.bytes <= MAX_KEPT_PAYLOAD_BYTES
  if (keeps) keptPayloadBytes += entry.bytes
  entries.push({
    direction: entry.direction,
    event: entry.event,
    bytes: entry.bytes,
    payload: keeps ? entry.payload : null,
    time: Date.now(),
    earlier: false,
  })
  wireRevision.value += 1
}

/** The log as it is kept over a reload: contents of binary frames are dropped, the update being kept anyway. */
export const wireToSave = (): WireEntry[] =>
  entries.map((entry) => ({
    ...entry,
    earlier: true,
    payload:
      typeof entry.payload === 'string' && entry.payload.length <= MAX_SAVED_TEXT_CHARACTERS
        ? entry.payload
        : null,
  }))

/** Puts the log of this tab's earlier visit before what has been recorded since. */
export function restoreWire(saved: readonly WireEntry[]): void {
  entries = [...saved, ...entries]
  wireRevision.value += 1
}

export function forgetWire(): void {
  entries = []
  keptPayloadBytes = 0
  wireRevision.value += 1
}
