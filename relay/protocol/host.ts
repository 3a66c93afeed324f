/**
 * What the host's console reads and sends over HTTP, with the host token: the whole of a room at one moment. It is
 * asked for again and again, so it holds no bytes and no lists without a bound.
 */
import * as v from 'valibot'
import {
  byteCount,
  digest,
  joinCode,
  participantId,
  roomName,
  shownText,
  timestamp,
  wholeNumber,
} from './fields.ts'
import {
  MAX_ADAPTER_MODULES,
  MAX_BASE_FILES,
  MAX_CONTRIBUTION_NUMBER,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
  MAX_RANK,
  MAX_ROUND_NUMBER,
} from './limits.ts'
import { adapterFormSchema, adapterModuleSchema, baseFileSchema, modeSchema } from './manifest.ts'
import { type Measured, measuredSchema } from './measured.ts'
import { progressSchema, statusSchema, versionSchema } from './messages.ts'
import { strategySchema } from './strategy.ts'

export const participantViewSchema = v.strictObject({
  /** A random number: it names nobody. */
  participant: participantId,
  connected: v.boolean(),
  /** As it last said; null if it has said nothing. */
  progress: v.nullable(progressSchema),
  /** Of its contribution; null if it has none. */
  digest: v.nullable(digest),
})

export const contributionViewSchema = v.strictObject({
  contribution: wholeNumber(1, MAX_CONTRIBUTION_NUMBER),
  digest,
  bytes: byteCount,
  examples: wholeNumber(1, MAX_EXAMPLES),
  /** L2 norm of the whole change; null for one accepted by an earlier version of the program. */
  norm: v.nullable(v.pipe(v.number(), v.minValue(0))),
  acceptedAt: timestamp,
  /** `undecided`: the host has to approve it before it counts. */
  state: v.picklist(['counts', 'undecided']),
  /** In which it counts, where the room has rounds. */
  round: v.optional(wholeNumber(1, MAX_ROUND_NUMBER)),
})

/** The next version, where the room has a gate: published once the host has measured it. */
export const candidateViewSchema = v.strictObject({
  /** The merged digest it will have. */
  digest,
  contributions: wholeNumber(1, MAX_CONTRIBUTIONS),
  /** `held`: it was measured, and is worse than the base by more than the room allows. */
  state: v.picklist(['waiting', 'held']),
  /** What held it back. */
  measured: v.nullable(measuredSchema),
  /** At `candidate/NAME`, for the host alone. */
  files: versionSchema.entries.files,
})

export const overviewSchema = v.strictObject({
  room: roomName,
  title: shownText(120),
  manifestDigest: digest,
  status: statusSchema,
  joinCode: v.nullable(joinCode),
  participants: v.array(participantViewSchema),
  contributions: v.pipe(v.array(contributionViewSchema), v.maxLength(MAX_CONTRIBUTIONS)),
  versions: v.array(versionSchema),
  /** Null where there is none. */
  candidate: v.nullable(candidateViewSchema),
  /** Lines of the audit log, and the hash of the last. */
  audit: v.strictObject({ lines: byteCount, hash: digest }),
})

/**
 * How one contribution stands beside those that count, before the host lets it count. All of it is about the numbers
 * as they were sent, taken as one long vector: the delta they make would cost a merge.
 */
export const previewSchema = v.strictObject({
  digest,
  /** L2 norm. */
  norm: v.number(),
  /** Median norm of the contributions that count; null while there is none. */
  medianNorm: v.nullable(v.number()),
  /** Cosine to the mean of those that count, in [-1, 1]; null while there is none, or one of the two is zero. */
  cosine: v.nullable(v.number()),
})

/** A base model that a room may be opened with: what its manifest has to say of it. */
export const offeredModelSchema = v.strictObject({
  id: v.pipe(shownText(200), v.minLength(1)),
  family: v.pipe(shownText(64), v.minLength(1)),
  license: shownText(120),
  digest,
  files: v.pipe(v.array(baseFileSchema), v.minLength(1), v.maxLength(MAX_BASE_FILES)),
  modules: v.pipe(v.array(adapterModuleSchema), v.minLength(1), v.maxLength(MAX_ADAPTER_MODULES)),
  /** The longest window it takes, in tokens. */
  maxTokens: wholeNumber(1, 1 << 30),
  /** Fixed factors of `lora-sb` that the relay has for it. */
  starts: v.pipe(v.array(baseFileSchema), v.maxLength(MAX_BASE_FILES)),
  /** Those of other ranks are made when they are asked for. */
  makesStarts: v.boolean(),
})

/** Fixed factors of `lora-sb` for this model, by its digest; the answer is the model as it is offered then. */
export const startRequestSchema = v.strictObject({ model: digest, rank: wholeNumber(1, MAX_RANK) })

/** What this relay can open a room with and keep; nothing else is worth asking for. */
export const offerSchema = v.strictObject({
  /** Where participants reach the page: an origin, e.g. `http://192.168.1.20:8787`. */
  joinBase: v.pipe(v.string(), v.maxLength(300), v.url()),
  models: v.array(offeredModelSchema),
  forms: v.array(adapterFormSchema),
  strategies: v.array(v.picklist(strategySchema.options.map((option) => option.entries.id.literal))),
  modes: v.array(v.picklist(modeSchema.options.map((option) => option.entries.kind.literal))),
  /** Whether a private room keeps what it promises. */
  privacy: v.boolean(),
  /** The host may decide contribution by contribution. */
  approval: v.boolean(),
  /** A version may wait for the host's measurement. */
  gate: v.boolean(),
})

/** The answer to a replaced host key: the new one, this once. */
export const hostKeySchema = v.strictObject({
  hostToken: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,256}$/)),
})

/** The answer to a deletion: which room it was, and the last line of its audit log. */
export const deletedRoomSchema = v.strictObject({
  room: roomName,
  manifestDigest: digest,
  log: v.strictObject({ lines: wholeNumber(1, Number.MAX_SAFE_INTEGER), hash: digest }),
  deletedAt: timestamp,
})

export const joinCodeChangeSchema = v.strictObject({ code: v.nullable(joinCode) })

export type { Measured }
export type CandidateView = v.InferOutput<typeof candidateViewSchema>
export type ParticipantView = v.InferOutput<typeof participantViewSchema>
export type ContributionView = v.InferOutput<typeof contributionViewSchema>
export type DeletedRoom = v.InferOutput<typeof deletedRoomSchema>
export type Overview = v.InferOutput<typeof overviewSchema>
export type StartRequest = v.InferOutput<typeof startRequestSchema>
export type OfferedModel = v.InferOutput<typeof offeredModelSchema>
export type Offer = v.InferOutput<typeof offerSchema>
export type Preview = v.InferOutput<typeof previewSchema>
