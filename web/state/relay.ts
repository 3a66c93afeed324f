/**
 * The relay, as the page uses it: one client of relay/client for this tab, and the two requests that come before
 * joining. What the client hears goes into signals.
 */
import * as v from 'valibot'
import { RelayClient } from '../../relay/client/client.ts'
import { downloadVersion } from '../../relay/client/download.ts'
import type { WireListener } from '../../relay/client/wire-log.ts'
import {
  manifestDigest as digestOfManifest,
  type Manifest,
  parseManifest,
} from '../../relay/protocol/manifest.ts'
import { type Receipt, statusSchema, type Version, versionSchema } from '../../relay/protocol/messages.ts'
import { problems } from '../strings.ts'
import { recordWire } from './diagnostics.ts'
import { PageError, toProblem } from './problems.ts'
import { keepMembership, savedMembership } from './session.ts'
import {
  latestVersion,
  manifest,
  manifestDigest,
  problem,
  type RoomEntry,
  receipt,
  relayOnline,
  roomStatus,
} from './store.ts'

/** Other fields may come with a newer relay; the page shows these. */
const roomListSchema = v.object({ rooms: v.array(v.object({ room: v.string(), title: v.string() })) })
const errorSchema = v.object({ error: v.object({ code: v.string(), message: v.string() }) })

async function getJson(path: string): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(path)
  } catch (cause) {
    throw new PageError('network/unreachable', problems.relayUnreachable, { cause })
  }
  const body: unknown = await response.json().catch(() => null)
  if (response.ok) return body
  const refusal = v.safeParse(errorSchema, body)
  throw refusal.success
    ? new PageError(refusal.output.error.code, refusal.output.error.message)
    : new PageError('network/unreachable', problems.relayUnreachable)
}

export async function fetchRooms(): Promise<readonly RoomEntry[]> {
  const list = v.safeParse(roomListSchema, await getJson('/api/rooms'))
  if (!list.success) throw new PageError('network/unreachable', problems.relayUnreachable)
  return list.output.rooms
}

export async function fetchManifest(room: string): Promise<{ manifest: Manifest; digest: string }> {
  const found = parseManifest(await getJson(`/api/rooms/${encodeURIComponent(room)}/manifest`))
  return { manifest: found, digest: digestOfManifest(found) }
}

const onWire: WireListener = ({ direction, name, bytes }) => recordWire({ direction, event: name, bytes })

let client: RelayClient | null = null

/** Joins the open room, as the participant of an earlier visit where there was one; once is enough. */
export async function connect(): Promise<void> {
  if (client) return
  const room = manifest.peek()
  if (!room) throw new Error('no room is open')
  const membership = savedMembership()
  const joined = await joinAs(room.room, membership ?? undefined).catch((error) => {
    // A relay that lost its data folder does not know this tab any more: it is a new participant then.
    if (membership && (error as { code?: unknown }).code === 'join/token') return joinAs(room.room, undefined)
    throw error
  })
  if (joined.membership?.manifestDigest !== manifestDigest.peek()) {
    joined.close()
    throw new PageError('page/other-round', problems.otherRound)
  }
  client = joined
  const { participant, token } = joined.membership
  keepMembership({ participant, token })
  if (joined.state.phase === 'sent') receipt.value = joined.state.receipt
}

async function joinAs(
  room: string,
  as: { participant: string; token: string } | undefined,
): Promise<RelayClient> {
  const fresh = new RelayClient({ onWire })
  fresh.on('online', (isOnline) => {
    relayOnline.value = isOnline || fresh.state.phase === 'left'
  })
  fresh.on('status', (status) => {
    roomStatus.value = status
  })
  fresh.on('published', setVersion)
  fresh.on('state', (state) => {
    if (state.phase !== 'failed') return
    // The relay has ended it: nothing is tried again, so the banner must not say so.
    relayOnline.value = true
    if (client === fresh) problem.value = toProblem(state.error)
  })
  await fresh.join(location.origin, room, as)
  return fresh
}

/** Sends the update, or continues where an interrupted upload stopped. Throws ProtocolError. */
export function uploadUpdate(bytes: Uint8Array, onProgress: (sentBytes: number) => void): Promise<Receipt> {
  if (!client) throw new PageError('network/unreachable', problems.relayUnreachable)
  return client.upload(bytes, { onProgress })
}

/** The published adapter's two files, checked against the version's digests. */
export async function fetchVersion(version: Version): Promise<{ config: Uint8Array; weights: Uint8Array }> {
  const room = manifest.peek()
  if (!room) throw new Error('no room is open')
  const folder = await downloadVersion(location.origin, room.room, version, onWire)
  const config = folder.get('adapter_config.json')
  const weights = folder.get('adapter_model.safetensors')
  if (!config || !weights) throw new PageError('network/download', problems.relayUnreachable)
  return { config, weights }
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
  const last = parsedList.success ? parsedList.output.versions.at(-1) : undefined
  if (last) setVersion(last)
}

function setVersion(version: Version): void {
  if ((latestVersion.peek()?.version ?? 0) < version.version) latestVersion.value = version
}

export function leaveRelay(): void {
  client?.close()
  client = null
  relayOnline.value = true
}
