/**
 * A participant's way through one round, drawn and then written:
 *
 *   joining -> ready -> training <-> paused
 *                ^          \          /
 *                +-- again --- reviewing -> sending -> sent
 *                |                                       |
 *                +-- again -------- withdrawn <----------+
 *                +-- next round -------------------------+
 *
 *   joining, sending -> failed (sending can be tried again); every state but sent -> left
 *   every state -> failed, when the host deletes the room: nothing of what was accepted is left then
 *
 * Each transition takes the states it may start from, so an illegal one does not compile. Pure: no socket here.
 */
import type { Digest } from '../protocol/canonical.ts'
import type { ProtocolError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Receipt } from '../protocol/messages.ts'

/** What joining gave: to be kept, so that a reload or a restart continues as the same participant. */
export interface Membership {
  readonly room: string
  readonly participant: string
  readonly token: string
  readonly manifest: Manifest
  readonly manifestDigest: Digest
}

/** The file that would be sent. */
export interface PackedUpdate {
  readonly bytes: Uint8Array
  readonly digest: Digest
}

export interface Joining {
  readonly phase: 'joining'
}
export interface Ready {
  readonly phase: 'ready'
  readonly membership: Membership
}
export interface Training {
  readonly phase: 'training'
  readonly membership: Membership
}
export interface Paused {
  readonly phase: 'paused'
  readonly membership: Membership
}
export interface Reviewing {
  readonly phase: 'reviewing'
  readonly membership: Membership
  readonly update: PackedUpdate
}
export interface Sending {
  readonly phase: 'sending'
  readonly membership: Membership
  readonly update: PackedUpdate
  /** Acknowledged by the relay. */
  readonly sentBytes: number
}
export interface Sent {
  readonly phase: 'sent'
  readonly membership: Membership
  readonly receipt: Receipt
}
/** This participant's contribution was taken out again, by itself or by the host. It may train and send anew. */
export interface Withdrawn {
  readonly phase: 'withdrawn'
  readonly membership: Membership
  readonly by: 'participant' | 'host'
}
/** The relay could not be joined, or the participant may not go on. */
export interface Failed {
  readonly phase: 'failed'
  readonly error: ProtocolError
}
/** The update is here and not accepted; it can be sent again. */
export interface SendingFailed {
  readonly phase: 'sending-failed'
  readonly error: ProtocolError
  readonly membership: Membership
  readonly update: PackedUpdate
}
export interface Left {
  readonly phase: 'left'
}

export type RoundState =
  | Joining
  | Ready
  | Training
  | Paused
  | Reviewing
  | Sending
  | Sent
  | Withdrawn
  | Failed
  | SendingFailed
  | Left

export const joining = (): Joining => ({ phase: 'joining' })

/** Whoever has already sent comes back to its receipt. */
export const joined = (_from: Joining, membership: Membership, receipt: Receipt | null): Ready | Sent =>
  receipt ? { phase: 'sent', membership, receipt } : { phase: 'ready', membership }

export const startTraining = ({ membership }: Ready): Training => ({ phase: 'training', membership })

export const pause = ({ membership }: Training): Paused => ({ phase: 'paused', membership })

export const resume = ({ membership }: Paused): Training => ({ phase: 'training', membership })

/** Gives up what was trained; nothing was sent. */
export const startAgain = ({
  membership,
}: Training | Paused | Reviewing | SendingFailed | Withdrawn): Ready => ({
  phase: 'ready',
  membership,
})

/** In a room of several rounds: the next one has begun. */
export const startNextRound = ({ membership }: Sent): Ready => ({ phase: 'ready', membership })

/** Ready too: an update may have been trained before, elsewhere. */
export const review = ({ membership }: Ready | Training | Paused, update: PackedUpdate): Reviewing => ({
  phase: 'reviewing',
  membership,
  update,
})

export const send = ({ membership, update }: Reviewing | SendingFailed): Sending => ({
  phase: 'sending',
  membership,
  update,
  sentBytes: 0,
})

export const progress = (from: Sending, sentBytes: number): Sending => ({ ...from, sentBytes })

export const accepted = ({ membership }: Sending, receipt: Receipt): Sent => ({
  phase: 'sent',
  membership,
  receipt,
})

export const withdrawn = ({ membership }: Sent, by: Withdrawn['by']): Withdrawn => ({
  phase: 'withdrawn',
  membership,
  by,
})

export const failSending = ({ membership, update }: Sending, error: ProtocolError): SendingFailed => ({
  phase: 'sending-failed',
  error,
  membership,
  update,
})

/** Not from sent: what was accepted stays accepted. */
export const fail = (_from: Exclude<RoundState, Sent | Left>, error: ProtocolError): Failed => ({
  phase: 'failed',
  error,
})

export const roomDeleted = (_from: Exclude<RoundState, Left>, error: ProtocolError): Failed => ({
  phase: 'failed',
  error,
})

export const leave = (_from: Exclude<RoundState, Sent>): Left => ({ phase: 'left' })
