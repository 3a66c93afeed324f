/**
 * The relay once the room is joined: one client of relay/client for this tab. What the client hears goes into
 * signals.
 */
import { RelayClient } from '../../relay/client/client.ts'
import { downloadVersion } from '../../relay/client/download.ts'
import type { WireListener } from '../../relay/client/wire-log.ts'
import type { Receipt, Version } from '../../relay/protocol/messages.ts'
import { problems } from '../strings/problems.ts'
import { PageError, toProblem } from './problems.ts'
import { reportProgress } from './reporting.ts'
import { keepMembership, savedMembership } from './session.ts'
import {
  addVersion,
  joinCode,
  manifest,
  manifestDigest,
  problem,
  receipt,
  relayOnline,
  roomStatus,
  withdrawnBy,
} from './store.ts'
import { recordWire } from './wire.ts'

const onWire: WireListener = ({ direction, name, bytes, payload }) =>
  recordWire({ direction, event: name, bytes, payload })

let client: RelayClient | null = null
let stopReporting: (() => void) | null = null

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
  else if (membership?.participant === participant && receipt.peek()) takenOut('host') // while this tab was closed
  stopReporting = reportProgress(
    (progress) => void joined.report(progress),
    () => relayOnline.value,
  )
}

/** The update counts no longer, by the relay's own word. */
function takenOut(by: 'participant' | 'host'): void {
  receipt.value = null
  withdrawnBy.value = by
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
  fresh.on('published', addVersion)
  fresh.on('retired', addVersion)
  fresh.on('state', (state) => {
    if (client === fresh && state.phase === 'withdrawn') takenOut(state.by)
    if (state.phase !== 'failed') return
    // The relay has ended it: nothing is tried again, so the banner must not say so.
    relayOnline.value = true
    if (client === fresh) problem.value = toProblem(state.error)
  })
  await fresh.join(location.origin, room, as, joinCode.peek().trim() || undefined)
  return fresh
}

/** Sends the update, or continues where an interrupted upload stopped. Throws ProtocolError. */
export function uploadUpdate(bytes: Uint8Array, onProgress: (sentBytes: number) => void): Promise<Receipt> {
  if (!client) throw new PageError('network/unreachable', problems.relayUnreachable)
  return client.upload(bytes, { onProgress })
}

/**
 * Takes the own update back; what is published from then on is as if it had never been sent. Throws ProtocolError
 * `withdraw/…`, or `network/…` where the relay does not answer.
 */
export async function withdrawUpdate(): Promise<void> {
  if (client?.state.phase !== 'sent') throw new PageError('network/unreachable', problems.relayUnreachable)
  await client.withdraw(client.state)
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

export function leaveRelay(): void {
  stopReporting?.()
  client?.close()
  client = null
  relayOnline.value = true
}
