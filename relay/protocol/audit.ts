/**
 * A room's audit log: what was accepted, refused, withdrawn and published, one line of canonical JSON each. Every
 * line names the hash of the line before it and its own, so nothing in it can be changed, left out or moved without
 * the rest showing it. Participants stand in it by the random numbers they joined with; they name nobody.
 */
import * as v from 'valibot'
import { canonicalJson, type Digest, digestOfText } from './canonical.ts'
import { ERROR_CODES, ProtocolError } from './errors.ts'
import { byteCount, digest, fileName, participantId, roomName, timestamp, wholeNumber } from './fields.ts'
import {
  MAX_CONTRIBUTION_NUMBER,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
  MAX_ROUND_NUMBER,
  MAX_VERSION_NUMBER,
} from './limits.ts'
import { measuredSchema } from './measured.ts'
import { privacyFiguresSchema } from './privacy.ts'

const contribution = wholeNumber(1, MAX_CONTRIBUTION_NUMBER)
const version = wholeNumber(1, MAX_VERSION_NUMBER)

export const auditEventSchema = v.variant('event', [
  v.strictObject({ event: v.literal('created'), room: roomName, manifestDigest: digest }),
  v.strictObject({
    event: v.literal('accepted'),
    participant: participantId,
    contribution,
    digest,
    bytes: byteCount,
    examples: wholeNumber(1, MAX_EXAMPLES),
    /** In a room of rounds: where it counts, and the version that it was trained from (0: the initial adapter). */
    round: v.optional(wholeNumber(1, MAX_ROUND_NUMBER)),
    start: v.optional(wholeNumber(0, MAX_VERSION_NUMBER)),
  }),
  /** These updates, and no later one, make the version of the round's number. */
  v.strictObject({
    event: v.literal('round-closed'),
    round: wholeNumber(1, MAX_ROUND_NUMBER),
    updates: v.pipe(v.array(digest), v.minLength(1), v.maxLength(MAX_CONTRIBUTIONS)),
  }),
  /** The host lets a contribution count; only where the manifest's admission is `approve`. */
  v.strictObject({ event: v.literal('approved'), contribution, digest }),
  v.strictObject({ event: v.literal('refused'), participant: participantId, code: v.picklist(ERROR_CODES) }),
  /** A tombstone. `erased`: nobody else has sent the same update, so its file is gone. */
  v.strictObject({
    event: v.literal('withdrawn'),
    participant: v.optional(participantId),
    contribution,
    digest,
    by: v.picklist(['participant', 'host']),
    erased: v.boolean(),
  }),
  /** A private room's noise is drawn for exactly these updates: from here on nothing can be withdrawn. */
  v.strictObject({
    event: v.literal('drawn'),
    updates: v.pipe(v.array(digest), v.minLength(1), v.maxLength(MAX_CONTRIBUTIONS)),
    privacy: privacyFiguresSchema,
  }),
  v.strictObject({
    event: v.literal('published'),
    version,
    digest,
    updates: v.pipe(v.array(digest), v.minLength(1), v.maxLength(MAX_CONTRIBUTIONS)),
    files: v.pipe(
      v.array(v.strictObject({ name: fileName, bytes: byteCount, sha256: digest })),
      v.minLength(1),
      v.maxLength(8),
    ),
    /** What the host measured, in a room with a gate; absent there if the host published without. */
    measured: v.optional(measuredSchema),
  }),
  /** Worse than the base by the host's measurement, and not published. */
  v.strictObject({
    event: v.literal('held-back'),
    digest,
    updates: v.pipe(v.array(digest), v.minLength(1), v.maxLength(MAX_CONTRIBUTIONS)),
    measured: measuredSchema,
  }),
  v.strictObject({ event: v.literal('retired'), version }),
  /** The host's key was replaced; neither stands here. */
  v.strictObject({ event: v.literal('host-key-replaced') }),
  v.strictObject({ event: v.literal('joining-closed') }),
  v.strictObject({ event: v.literal('closed') }),
  /** In the log of deleted rooms alone: which it was, and the last line of its own log, which went with it. */
  v.strictObject({
    event: v.literal('deleted'),
    room: roomName,
    manifestDigest: digest,
    log: v.strictObject({ lines: wholeNumber(1, Number.MAX_SAFE_INTEGER), hash: digest }),
  }),
])

export type AuditEvent = v.InferOutput<typeof auditEventSchema>

/** The hash before the first line. */
export const AUDIT_START = '0'.repeat(64) as Digest

const frameSchema = v.looseObject({
  sequence: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  at: timestamp,
  previous: digest,
  hash: digest,
})

export interface AuditPlace {
  /** 1 for the first line. */
  readonly sequence: number
  readonly hash: Digest
}

export interface AuditLine extends AuditPlace {
  readonly at: string
  readonly event: AuditEvent
}

/** One line, without its line feed; `after` is the line before it, null for the first. */
export function auditLine(
  event: AuditEvent,
  at: string,
  after: AuditPlace | null,
): AuditPlace & { text: string } {
  const sequence = (after?.sequence ?? 0) + 1
  const body = { ...event, at, sequence, previous: after?.hash ?? AUDIT_START }
  const hash = digestOfText(canonicalJson(body))
  return { sequence, hash, text: canonicalJson({ ...body, hash }) }
}

/**
 * Reads a whole log and checks every link. Throws ProtocolError `store/log-damaged` naming the line. A log that was
 * cut off at a line's end is a valid shorter log: what it lacks shows in the files beside it, or in a receipt.
 */
export function readAuditLog(text: string): AuditLine[] {
  const lines = text.split('\n')
  if (lines.pop() !== '') throw damaged(lines.length + 1, 'is cut short')
  let before: AuditPlace | null = null
  return lines.map((line, index) => {
    const read = readLine(line, index + 1, before)
    before = read
    return read
  })
}

function readLine(text: string, number: number, before: AuditPlace | null): AuditLine {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged(number, 'is not JSON')
  }
  const frame = v.safeParse(frameSchema, value)
  if (!frame.success) throw damaged(number, 'lacks a number, a time or a hash')
  const { sequence, at, previous, hash, ...rest } = frame.output
  // Canonical text, so that not even a space can differ.
  if (canonicalJson(value) !== text) throw damaged(number, 'is not in canonical form')
  if (digestOfText(canonicalJson({ ...rest, sequence, at, previous })) !== hash) {
    throw damaged(number, 'does not have the hash it names')
  }
  if (sequence !== number || previous !== (before?.hash ?? AUDIT_START)) {
    throw damaged(number, 'does not follow the line before it')
  }
  const event = v.safeParse(auditEventSchema, rest)
  if (!event.success) throw damaged(number, 'is no event this version knows')
  return { sequence, hash, at, event: event.output }
}

const damaged = (line: number, what: string) =>
  new ProtocolError(
    'store/log-damaged',
    `Line ${line} of the audit log ${what}; restore the data folder from a copy.`,
  )
