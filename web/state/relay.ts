/**
 * The relay once the room is joined: one client of relay/client for this tab. What the client hears goes into
 * signals.
 */
import { CONTINUATION_FILE } from '../../models/adapters/continuation.ts'
import { RelayClient } from '../../relay/client/client.ts'
import { downloadVersion } from '../../relay/client/download.ts'
import type { RoundStart } from '../../relay/client/known-room.ts'
import type { WireListener } from '../../relay/client/wire-log.ts'
import type { Receipt, Version } from '../../relay/protocol/messages.ts'
import { problems } from '../strings/problems.ts'
import { PageError, toProblem } from './problems.ts'
import { pseudonym } from './pseudonym.ts'
import { reportProgress } from './reporting.ts'
import { keepMembership, savedMembership } from './session.ts'
import {
  addVersion,
  hostSeesMeAs,
  joinCode,
  manifest,
  manifestDigest,
  problem,
  receipt,
  relayOnline,
  roomKept,
  roomStatus,
  withdrawnBy,
} from './store.ts'
import { recordWire } from './wire.ts'

const onWire: WireListener = ({ direction, name, bytes, payload }) =>
  recordWire({ direction, event: name, bytes, payload })

let client: RelayClient | null = null
let stopReporting: (() => void) | null = null

/** Set while the room is joined in the background, because the relay could not be reached when the page opened. */
let joiningLater: Promise<void> | null = null
/** Counts the times this tab has left: whoever joins late finds that nobody waits any more. */
let leavings = 0

const RETRY_MS = 3000

/**
 * Joins the open room, as the participant of an earlier visit where there was one; once is enough. Where the page
 * itself had to come from this browser's keeping, nobody waits for the relay: it is joined as soon as it answers.
 */
export async function connect(): Promise<void> {
  if (client || joiningLater) return
  if (!roomKept.peek()) return joinNow()
  relayOnline.value = false
  joiningLater = joinLater()
  // Whoever sends meanwhile waits for it, and hears why it failed.
  joiningLater.catch(() => {})
}

async function joinLater(): Promise<void> {
  const before = leavings
  try {
    while (before === leavings) {
      try {
        await joinNow()
        roomKept.value = false
        return
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'network/unreachable') throw error
        relayOnline.value = before !== leavings
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  } catch (error) {
    relayOnline.value = true
    problem.value = toProblem(error)
    throw error
  } finally {
    joiningLater = null
  }
}

async function joinNow(): Promise<void> {
  const room = manifest.peek()
  if (!room) throw new Error('no room is open')
  const before = leavings
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
  if (before !== leavings) return joined.close()
  client = joined
  const { participant, token } = joined.membership
  keepMembership({ participant, token })
  hostSeesMeAs.value = pseudonym(participant)
  if (joined.state.phase === 'sent') receipt.value = joined.state.receipt
  else if (membership?.participant === participant && isOfThisRound(receipt.peek(), joined)) takenOut('host') // while this tab was closed
  stopReporting = reportProgress(
    (progress) => void joined.report(progress),
    () => relayOnline.value,
  )
}

/** In a room of several rounds, the receipt of one that is over says nothing of the one at hand. */
const isOfThisRound = (kept: Receipt | null, { status }: RelayClient): boolean =>
  kept !== null && (kept.round === undefined || kept.round === status?.round?.round)

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

/**
 * Sends the update, or continues where an interrupted upload stopped; waits for a relay that could not be reached
 * when the page opened. Throws ProtocolError.
 */
export async function uploadUpdate(
  bytes: Uint8Array,
  onProgress: (sentBytes: number) => void,
): Promise<Receipt> {
  await joiningLater
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

/**
 * What the next update is trained from, once it is published; waits for a relay that could not be reached. Throws
 * ProtocolError `room/closed`.
 */
export async function roundStart(): Promise<RoundStart> {
  await joiningLater
  if (!client) throw new PageError('network/unreachable', problems.relayUnreachable)
  return client.roundStart()
}

/** Waits for the round after the one that this tab has sent in; false where none comes. Throws ProtocolError. */
export async function nextRound(signal: AbortSignal): Promise<boolean> {
  await joiningLater
  const state = client?.state
  // The round ended while this tab was closed: it is in the next one already.
  if (state?.phase === 'ready') return client?.status?.closed !== true
  return state?.phase === 'sent' ? (await client?.nextRound(state, signal)) != null : false
}

/** The published adapter's two files, checked against the version's digests. */
export async function fetchVersion(version: Version): Promise<{ config: Uint8Array; weights: Uint8Array }> {
  const folder = await download(version)
  return {
    config: needed(folder, 'adapter_config.json'),
    weights: needed(folder, 'adapter_model.safetensors'),
  }
}

/** The file of a version that the next round's training starts from, checked as well. */
export async function fetchStart(version: Version): Promise<Uint8Array> {
  return needed(await download(version), CONTINUATION_FILE)
}

function download(version: Version) {
  const room = manifest.peek()
  if (!room) throw new Error('no room is open')
  return downloadVersion(location.origin, room.room, version, onWire)
}

function needed(folder: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const file = folder.get(name)
  if (!file) throw new PageError('network/download', problems.relayUnreachable)
  return file
}

export function leaveRelay(): void {
  leavings += 1
  stopReporting?.()
  client?.close()
  client = null
  relayOnline.value = true
}
