/**
 * What the page asks of the relay over HTTP, which needs no joining: its rooms, a room's manifest, and what is
 * new in a room. Part of the first view, so nothing of the sockets is in here.
 */
import * as v from 'valibot'
import {
  manifestDigest as digestOfManifest,
  type Manifest,
  parseManifest,
} from '../../relay/protocol/manifest.ts'
import { statusSchema, versionSchema } from '../../relay/protocol/messages.ts'
import { KEPT_HEADER } from '../offline/requests.ts'
import { problems } from '../strings/problems.ts'
import { PageError } from './problems.ts'
import { addVersion, type RoomEntry, roomKept, roomStatus } from './store.ts'
import { recordWire } from './wire.ts'

/** Other fields may come with a newer relay; the page shows these. */
const roomListSchema = v.object({ rooms: v.array(v.object({ room: v.string(), title: v.string() })) })

/** The host tries things out in rooms that are called so; nobody is invited. */
const REHEARSAL = 'rehearsal-'
export const isRehearsal = (room: string) => room.startsWith(REHEARSAL)
export const rehearsalName = (room: string) => `${REHEARSAL}${room}`
const errorSchema = v.object({ error: v.object({ code: v.string(), message: v.string() }) })

/** Null where a relay, or something in front of it, answers with no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function getJson(path: string, onKept?: (isKept: boolean) => void): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(path)
  } catch (cause) {
    throw new PageError('network/unreachable', problems.relayUnreachable, { cause })
  }
  const isKept = response.headers.has(KEPT_HEADER)
  onKept?.(isKept)
  const answer = await response.text().catch(() => '')
  const bytes = new TextEncoder().encode(answer).byteLength
  // What this browser had kept has not travelled.
  if (!isKept) recordWire({ direction: 'in', event: `GET ${path}`, bytes, payload: answer })
  const body = parseJson(answer)
  if (response.ok) return body
  const refusal = v.safeParse(errorSchema, body)
  throw refusal.success
    ? new PageError(refusal.output.error.code, refusal.output.error.message)
    : new PageError('network/unreachable', problems.relayUnreachable)
}

export async function fetchRooms(): Promise<readonly RoomEntry[]> {
  const list = v.safeParse(roomListSchema, await getJson('/api/rooms'))
  if (!list.success) throw new PageError('network/unreachable', problems.relayUnreachable)
  return list.output.rooms.filter(({ room }) => !isRehearsal(room))
}

export async function fetchManifest(room: string): Promise<{ manifest: Manifest; digest: string }> {
  const setKept = (isKept: boolean) => {
    roomKept.value = isKept
  }
  const found = parseManifest(await getJson(`/api/rooms/${encodeURIComponent(room)}/manifest`, setKept))
  return { manifest: found, digest: digestOfManifest(found) }
}

/**
 * What the relay says of the room over HTTP: its newest version and whether it is closed. For the invitation,
 * and for whoever has sent and cannot join any more.
 */
export async function fetchRoomNews(room: string): Promise<void> {
  const path = `/api/rooms/${encodeURIComponent(room)}`
  const [status, list] = await Promise.all([getJson(`${path}/status`), getJson(`${path}/versions`)])
  const parsedStatus = v.safeParse(statusSchema, status)
  if (parsedStatus.success) roomStatus.value = parsedStatus.output
  const parsedList = v.safeParse(v.object({ versions: v.array(versionSchema) }), list)
  if (parsedList.success) for (const version of parsedList.output.versions) addVersion(version)
}
