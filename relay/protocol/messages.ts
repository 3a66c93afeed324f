/**
 * Every message of the socket, as schemas that both ends parse with: the single source of truth of the protocol
 * (docs/protocol.md describes the same in words). A client's message is an event with one object and an ack; the
 * ack is `{ ok: true, … }` or `{ ok: false, code }`. The relay's own messages are events without an ack.
 */
import * as v from 'valibot'
import { ERROR_CODES, ProtocolError } from './errors.ts'
import {
  byteCount,
  digest,
  fileName,
  finiteNumber,
  joinCode,
  participantId,
  resumeToken,
  roomName,
  signatureHex,
  timestamp,
  wholeNumber,
} from './fields.ts'
import {
  MAX_CONTRIBUTION_NUMBER,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
  MAX_ROUND_NUMBER,
  MAX_ROUNDS,
  MAX_UPDATE_BYTES,
  MAX_VERSION_NUMBER,
  MAX_VERSIONS_IN_JOIN,
  PROTOCOL_VERSION,
} from './limits.ts'
import { manifestSchema } from './manifest.ts'
import { privacyFiguresSchema } from './privacy.ts'

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array

// ---- what a client sends ----

export const joinSchema = v.strictObject({
  protocolVersion: v.literal(PROTOCOL_VERSION),
  room: roomName,
  /** Where the room has a join code. Whoever resumes has shown it before. */
  code: v.optional(joinCode),
  /** Present when this participant has joined before: after a dropped socket or a reload. */
  resume: v.optional(v.strictObject({ participant: participantId, token: resumeToken })),
})

export const beginSchema = v.strictObject({
  digest,
  bytes: wholeNumber(1, MAX_UPDATE_BYTES),
  /** As in the file's metadata; left out if the person chose not to say. */
  examples: v.optional(wholeNumber(1, MAX_EXAMPLES)),
})

export const chunkSchema = v.strictObject({
  offset: byteCount,
  /** 1 to limits.chunkBytes of the manifest; the socket itself takes no message over MAX_MESSAGE_BYTES. */
  data: v.custom<Uint8Array>(isBytes, 'expected binary data'),
})

export const commitSchema = v.strictObject({ digest })

/** Takes this participant's own contribution back. */
export const withdrawSchema = v.strictObject({ digest })

/**
 * What the host's console shows of a participant while it works; nothing is kept of it. No loss: it would say
 * something about the data.
 */
export const progressSchema = v.strictObject({
  stage: v.picklist(['joined', 'loading', 'data', 'training', 'paused', 'reviewing', 'sending', 'sent']),
  step: v.optional(wholeNumber(0, 1_000_000)),
  steps: v.optional(wholeNumber(1, 1_000_000)),
  tokensPerSecond: v.optional(finiteNumber(0, 1e9)),
})

/** Event name -> schema of its payload, for what a client may send. */
export const clientEvents = {
  join: joinSchema,
  begin: beginSchema,
  chunk: chunkSchema,
  commit: commitSchema,
  withdraw: withdrawSchema,
  progress: progressSchema,
}

export type ClientEvent = keyof typeof clientEvents
export type Join = v.InferOutput<typeof joinSchema>
export type Begin = v.InferOutput<typeof beginSchema>
export type Chunk = v.InferOutput<typeof chunkSchema>
export type Commit = v.InferOutput<typeof commitSchema>
export type Withdraw = v.InferOutput<typeof withdrawSchema>
export type Progress = v.InferOutput<typeof progressSchema>

/** A client's message after parsing: the relay switches on `event`. */
export type ClientMessage =
  | { readonly event: 'join'; readonly payload: Join }
  | { readonly event: 'begin'; readonly payload: Begin }
  | { readonly event: 'chunk'; readonly payload: Chunk }
  | { readonly event: 'commit'; readonly payload: Commit }
  | { readonly event: 'withdraw'; readonly payload: Withdraw }
  | { readonly event: 'progress'; readonly payload: Progress }

export function isClientEvent(event: unknown): event is ClientEvent {
  return typeof event === 'string' && Object.hasOwn(clientEvents, event)
}

/** Throws ProtocolError `protocol/unknown-event`, `protocol/version` or `protocol/malformed`. */
export function parseClientMessage(event: unknown, payload: unknown): ClientMessage {
  if (!isClientEvent(event)) throw new ProtocolError('protocol/unknown-event')
  if (event === 'join' && hasOtherVersion(payload)) throw new ProtocolError('protocol/version')
  const result = v.safeParse(clientEvents[event], payload, { abortEarly: true })
  if (!result.success) throw new ProtocolError('protocol/malformed')
  return { event, payload: result.output } as ClientMessage
}

/** A newer join may have other fields; its version must be reported before its shape is judged. */
function hasOtherVersion(payload: unknown): boolean {
  if (typeof payload !== 'object' || payload === null || !Object.hasOwn(payload, 'protocolVersion'))
    return false
  const version = (payload as { protocolVersion: unknown }).protocolVersion
  return typeof version === 'number' && version !== PROTOCOL_VERSION
}

// ---- what the relay answers and announces ----

/** Says that an update is durable in the relay: it counts in every later version, unless it is withdrawn. */
export const receiptSchema = v.strictObject({
  room: roomName,
  participant: participantId,
  manifestDigest: digest,
  digest,
  bytes: byteCount,
  /** What it weighs in the mean: the count given, or 1. */
  examples: wholeNumber(1, MAX_EXAMPLES),
  /** 1 for the room's first accepted update. */
  contribution: wholeNumber(1, MAX_CONTRIBUTION_NUMBER),
  acceptedAt: timestamp,
  /** In which it counts, where the room has rounds. */
  round: v.optional(wholeNumber(1, MAX_ROUND_NUMBER)),
  /** By the manifest's receiptKey, over the text that receipt.ts defines; absent where the room has no key. */
  signature: v.optional(signatureHex),
})

export const versionSchema = v.strictObject({
  version: wholeNumber(1, MAX_VERSION_NUMBER),
  /** Of manifest digest, sorted update digests and merged tensors. */
  digest,
  contributions: wholeNumber(1, MAX_CONTRIBUTIONS),
  createdAt: timestamp,
  /** The contribution withdrawn since is in it: the relay has erased its files. Copies elsewhere remain. */
  retired: v.optional(v.literal(true)),
  files: v.pipe(
    v.array(v.strictObject({ name: fileName, bytes: byteCount, sha256: digest })),
    v.minLength(1),
    v.maxLength(8),
  ),
})

/** Where a room of rounds stands. Round t starts from version t - 1, the first from the room's initial adapter. */
export const roundStatusSchema = v.strictObject({
  /** The round that takes updates, or the last one once the room is closed. */
  round: wholeNumber(1, MAX_ROUND_NUMBER),
  /** Null where there is no last one. */
  rounds: v.nullable(wholeNumber(1, MAX_ROUNDS)),
  /** The version to start from, 0 for the initial adapter; null while the round before it is still being merged. */
  start: v.nullable(wholeNumber(0, MAX_VERSION_NUMBER)),
  /** Updates that count in this round so far. */
  received: wholeNumber(0, MAX_CONTRIBUTIONS),
  quorum: wholeNumber(1, MAX_CONTRIBUTIONS),
  /** When the round is completed by fewer; null where there is no such time, or it has not begun to run. */
  deadline: v.nullable(timestamp),
})

export const statusSchema = v.strictObject({
  /** Sockets in the room now. */
  connected: byteCount,
  contributions: wholeNumber(0, MAX_CONTRIBUTIONS),
  /** Accepted, but in no published version yet. */
  waiting: wholeNumber(0, MAX_CONTRIBUTIONS),
  versions: wholeNumber(0, MAX_VERSION_NUMBER),
  /** Accepted, and waiting for the host's decision; only where the manifest's admission is `approve`. */
  undecided: v.optional(wholeNumber(0, MAX_CONTRIBUTIONS)),
  /** Whether somebody new may join. */
  joinable: v.boolean(),
  closed: v.boolean(),
  /** Of a private room alone. */
  privacy: v.optional(privacyFiguresSchema),
  /** The next version waits for the host's measurement, or was held back by it; only in a room with a gate. */
  candidate: v.optional(v.picklist(['waiting', 'held'])),
  /** Of a room of rounds alone. */
  round: v.optional(roundStatusSchema),
})

export const refusalSchema = v.strictObject({
  ok: v.literal(false),
  code: v.picklist(ERROR_CODES),
  /** With `upload/offset` and `upload/incomplete`: where the relay stands. */
  offset: v.optional(byteCount),
})

const accepted = { ok: v.literal(true) }

export const joinAnswerSchema = v.variant('ok', [
  v.strictObject({
    ...accepted,
    participant: participantId,
    token: resumeToken,
    manifest: manifestSchema,
    manifestDigest: digest,
    status: statusSchema,
    /** Newest last, at most MAX_VERSIONS_IN_JOIN. */
    versions: v.pipe(v.array(versionSchema), v.maxLength(MAX_VERSIONS_IN_JOIN)),
    /** This participant's unfinished upload, if the relay holds one. */
    upload: v.nullable(v.strictObject({ digest, bytes: byteCount, offset: byteCount })),
    /** This participant's receipt, if its update has been accepted. */
    receipt: v.nullable(receiptSchema),
  }),
  refusalSchema,
])

/** Either the next byte the relay wants, or, when the update is already in, its receipt. */
export const beginAnswerSchema = v.variant('ok', [
  v.strictObject({ ...accepted, offset: byteCount, receipt: v.nullable(receiptSchema) }),
  refusalSchema,
])

export const chunkAnswerSchema = v.variant('ok', [
  v.strictObject({ ...accepted, offset: byteCount }),
  refusalSchema,
])

export const commitAnswerSchema = v.variant('ok', [
  v.strictObject({ ...accepted, receipt: receiptSchema }),
  refusalSchema,
])

/** The contribution is gone: as if never sent, except in copies of versions downloaded before. */
export const withdrawAnswerSchema = v.variant('ok', [
  v.strictObject({
    ...accepted,
    digest,
    /** False where another participant has sent the very same update and it stays for that one. */
    erased: v.boolean(),
    /** Published versions that held it, now erased from the relay. */
    retired: v.array(wholeNumber(1, MAX_VERSION_NUMBER)),
  }),
  refusalSchema,
])

export const progressAnswerSchema = v.variant('ok', [v.strictObject(accepted), refusalSchema])

/** Event name -> schema of the ack. */
export const answers = {
  join: joinAnswerSchema,
  begin: beginAnswerSchema,
  chunk: chunkAnswerSchema,
  commit: commitAnswerSchema,
  withdraw: withdrawAnswerSchema,
  progress: progressAnswerSchema,
}

/** Event name -> schema, for what the relay sends by itself. */
export const relayEvents = {
  /** A new merged version can be downloaded. */
  published: versionSchema,
  /** A version that held a withdrawn contribution is gone from the relay. */
  retired: v.strictObject({ version: wholeNumber(1, MAX_VERSION_NUMBER) }),
  /** The host, or this participant elsewhere, has taken this participant's contribution out. */
  withdrawn: v.strictObject({ digest, by: v.picklist(['participant', 'host']) }),
  status: statusSchema,
  /** A message without an ack was refused, or the relay is about to close this socket. */
  refused: refusalSchema,
}

export type RelayEvent = keyof typeof relayEvents
export type Receipt = v.InferOutput<typeof receiptSchema>
export type Version = v.InferOutput<typeof versionSchema>
export type RoundStatus = v.InferOutput<typeof roundStatusSchema>
export type RoomStatus = v.InferOutput<typeof statusSchema>
export type Refusal = v.InferOutput<typeof refusalSchema>
export type Answer<E extends ClientEvent> = v.InferOutput<(typeof answers)[E]>
export type Accepted<E extends ClientEvent> = Extract<Answer<E>, { ok: true }>
