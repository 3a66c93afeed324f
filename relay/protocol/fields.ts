/**
 * Schemas of the values that several messages share. Each bounds length and range, so that whatever passed may be
 * used for names, paths and allocations.
 */
import * as v from 'valibot'
import type { Digest } from './canonical.ts'
import { MAX_JOIN_CODE_CHARACTERS, MAX_ROOM_NAME_CHARACTERS } from './limits.ts'

/** A whole number in [least, most]. */
export const wholeNumber = (least: number, most: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most))

/** A finite number in [least, most]. */
export const finiteNumber = (least: number, most: number) =>
  v.pipe(v.number(), v.finite(), v.minValue(least), v.maxValue(most))

/** A count of bytes or an offset: far below 2^53, far above any file here. */
export const byteCount = wholeNumber(0, 2 ** 48)

const isDigest = (value: unknown): value is Digest =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

/** SHA-256 as 64 lower-case hexadecimal digits. */
export const digest = v.custom<Digest>(isDigest, 'expected 64 lower-case hexadecimal digits')

/** Lower case only: the name is a folder, and some file systems cannot tell `A` from `a`. */
export const roomName = v.pipe(
  v.string(),
  v.maxLength(MAX_ROOM_NAME_CHARACTERS),
  v.regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, 'expected a-z, 0-9 and inner hyphens'),
)

/** A file's name without folders; no leading dot, so neither `..` nor a hidden file. */
export const fileName = v.pipe(
  v.string(),
  v.maxLength(128),
  v.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'expected a plain file name'),
)

/** Text shown to people: bounded, and without control characters. */
export const shownText = (characters: number) =>
  v.pipe(
    v.string(),
    v.maxLength(characters),
    // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
    v.regex(/^[^\u0000-\u001f\u007f]*$/, 'expected text without control characters'),
  )

/** Who takes part: 128 random bits, hex. It names nobody. */
export const participantId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/))

/** Proof of being that participant: HMAC-SHA256 under the relay's key, hex. */
export const resumeToken = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

/** Letters and digits that cannot be taken for one another, in groups: `7KQ4-M2XT`. Compared without case. */
export const joinCode = v.pipe(
  v.string(),
  v.minLength(4),
  v.maxLength(MAX_JOIN_CODE_CHARACTERS),
  v.regex(/^[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$/, 'expected letters, digits and inner hyphens'),
)

/** An Ed25519 signature (RFC 8032), hex. */
export const signatureHex = v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/))

export const timestamp = v.pipe(v.string(), v.isoTimestamp())
