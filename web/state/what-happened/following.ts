/**
 * The room's own record, as anybody may read it: its status every few seconds, its audit log when something has
 * changed. Joins nothing and sends nothing but these requests.
 */
import { computed, signal } from '@preact/signals'
import { type AuditLine, readAuditLog } from '../../../relay/protocol/audit.ts'
import { toProblem } from '../problems.ts'
import { fetchManifest, fetchRoomNews } from '../relay-http.ts'
import { address, manifest, problem, relayOnline, roomStatus } from '../store.ts'
import { recordWire } from '../wire.ts'
import { sceneOf } from './scene.ts'

const INTERVAL_MS = 3000

export const events = signal<readonly AuditLine[]>([])
/** How many of them are shown; null: all, and whatever comes. */
export const shownEvents = signal<number | null>(null)
export const scene = computed(() => sceneOf(events.value.slice(0, shownEvents.value ?? undefined)))
export const playing = signal(false)

/** The update to mark as the reader's own: the fragment, which no server sees. */
export const ownDigest = signal<string | null>(null)

export async function followRoom(): Promise<void> {
  const room = address.peek().room
  if (room === null) return
  ownDigest.value = /^#update=([0-9a-f]{64})$/.exec(location.hash)?.[1] ?? null
  let seen = ''
  for (;;) {
    try {
      manifest.value ??= (await fetchManifest(room)).manifest
      await fetchRoomNews(room)
      const now = JSON.stringify({ ...roomStatus.peek(), connected: 0 })
      if (now !== seen) {
        events.value = await fetchEvents(room)
        seen = now
      }
      relayOnline.value = true
    } catch (error) {
      if (manifest.peek() === null) problem.value = toProblem(error)
      else relayOnline.value = false
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
  }
}

async function fetchEvents(room: string): Promise<readonly AuditLine[]> {
  const path = `/api/rooms/${encodeURIComponent(room)}/audit`
  const response = await fetch(path)
  const text = await response.text()
  recordWire({ direction: 'in', event: `GET ${path}`, bytes: text.length, payload: text })
  if (!response.ok) throw new Error(`${response.status}`)
  return readAuditLog(text)
}

/** One event after the other, from the first; the last one is the present again. */
const PLAY_INTERVAL_MS = 900

export function play(): void {
  playing.value = true
  shownEvents.value = 0
  const timer = setInterval(() => {
    const next = (shownEvents.peek() ?? 0) + 1
    const isDone = next >= events.peek().length
    shownEvents.value = isDone ? null : next
    if (!isDone && playing.peek()) return
    playing.value = false
    clearInterval(timer)
  }, PLAY_INTERVAL_MS)
}

export function stopPlaying(): void {
  playing.value = false
}

/** By hand, with the slider. */
export function showUntil(position: number): void {
  playing.value = false
  shownEvents.value = position >= events.peek().length ? null : position
}
