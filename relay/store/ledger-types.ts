/** What the ledger tells, and the rows it is made of. */
import type { Digest } from '../protocol/canonical.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Version } from '../protocol/messages.ts'

export interface LedgerRoom {
  readonly manifest: Manifest
  readonly closed: boolean
}

export interface AcceptedUpdate {
  readonly digest: Digest
  readonly bytes: number
  readonly examples: number
  /** 1 for the room's first. */
  readonly contribution: number
  /** L2 norm of the change; null for one from before norms were kept. */
  readonly norm: number | null
  readonly acceptedAt: string
  /** False while it waits for the host's decision: then it does not count yet. */
  readonly approved: boolean
  /** In which it counts; 1 where a room has no rounds. */
  readonly round: number
}

/** A round of a room that has several. */
export interface LedgerRound {
  /** 1 for the first. */
  readonly round: number
  /** From when its deadline counts; null until somebody is there. */
  readonly clockFrom: string | null
  readonly closed: boolean
}

/** What is entered of an update; `start` is the digest of the version it was trained from. */
export type NewUpdate = Pick<AcceptedUpdate, 'digest' | 'bytes' | 'examples' | 'norm'> & {
  readonly start: string | null
}

/** A version with the exact set of updates it was merged from, sorted. */
export interface PublishedVersion extends Version {
  readonly updates: readonly Digest[]
}

export interface Withdrawal {
  readonly digest: Digest
  /** Nobody else has sent the same update: its file must go. */
  readonly erased: boolean
  /** Versions it was in, retired with it. */
  readonly retired: readonly number[]
  /** Whose receipts ended. */
  readonly participants: readonly string[]
}

/** A private room's one release, from when its noise is drawn. */
export interface Release {
  /** Sorted. */
  readonly updates: readonly Digest[]
  /** Hex; null once the release is published. */
  readonly noiseKey: string | null
}

export interface ContributionRow {
  digest: string
  contribution: number
  bytes: number
  examples: number
  norm: number | null
  accepted_at: string
  approved: number
  round: number
}

export interface VersionRow {
  version: number
  digest: string
  contributions: number
  created_at: string
  files: string
  updates: string
  retired: number
}

export const acceptedUpdate = (row: ContributionRow): AcceptedUpdate => ({
  digest: row.digest as Digest,
  bytes: row.bytes,
  examples: row.examples,
  contribution: row.contribution,
  norm: row.norm,
  acceptedAt: row.accepted_at,
  approved: row.approved === 1,
  round: row.round,
})
