/** Who sent which contribution, and the receipts that follow from it. Two who sent the same update share one. */
import type { Digest } from '../protocol/canonical.ts'
import { isStepped, type Manifest, manifestDigest } from '../protocol/manifest.ts'
import type { Receipt } from '../protocol/messages.ts'
import type { LedgerDatabase } from './ledger-database.ts'
import type { RoundRows } from './ledger-rounds.ts'
import type { ContributionRow } from './ledger-types.ts'

export class SenderRows {
  readonly #database: LedgerDatabase
  readonly #rounds: RoundRows

  constructor(database: LedgerDatabase, rounds: RoundRows) {
    this.#database = database
    this.#rounds = rounds
  }

  /** The participants whose contribution is in, by participant; in a room of rounds the latest of each. */
  all(room: string): Map<string, Digest> {
    const rows = this.#database
      .prepare(
        `SELECT participant, digest FROM senders JOIN contributions USING (room, contribution) WHERE room = ?
         ORDER BY senders.round`,
      )
      .all(room)
    return new Map(
      (rows as { participant: string; digest: string }[]).map((row) => [
        row.participant,
        row.digest as Digest,
      ]),
    )
  }

  of(room: string, contribution: number): string[] {
    const rows = this.#database
      .prepare('SELECT participant FROM senders WHERE room = ? AND contribution = ?')
      .all(room, contribution)
    return (rows as { participant: string }[]).map(({ participant }) => participant)
  }

  /** The contribution in which this participant's update is. */
  find(room: string, participant: string, digest: Digest): ContributionRow | undefined {
    return this.#database
      .prepare(
        `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
         WHERE room = ? AND participant = ? AND digest = ?`,
      )
      .get(room, participant, digest) as ContributionRow | undefined
  }

  add(room: string, participant: string, round: number, contribution: number): void {
    this.#database
      .prepare('INSERT INTO senders (room, participant, round, contribution) VALUES (?, ?, ?, ?)')
      .run(room, participant, round, contribution)
  }

  remove(room: string, participant: string, contribution: number): void {
    this.#database
      .prepare('DELETE FROM senders WHERE room = ? AND participant = ? AND contribution = ?')
      .run(room, participant, contribution)
  }

  removeAll(room: string, contribution: number): void {
    this.#database.prepare('DELETE FROM senders WHERE room = ? AND contribution = ?').run(room, contribution)
  }

  /**
   * Unsigned. Of the round that takes updates, where a room has rounds with one update each; else the participant's
   * last.
   */
  receipt(manifest: Manifest, participant: string): Receipt | null {
    const { room, mode } = manifest
    const round = mode?.kind === 'rounds' ? this.#rounds.all(room).at(-1)!.round : null
    const row = this.#database
      .prepare(
        `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
         WHERE room = ? AND participant = ? AND (? IS NULL OR senders.round = ?)
         ORDER BY senders.round DESC LIMIT 1`,
      )
      .get(room, participant, round, round) as ContributionRow | undefined
    return row ? receiptOf(manifest, participant, row) : null
  }

  /** Of this very update, in whatever round: an answer may have been lost just as a round closed. */
  receiptFor(manifest: Manifest, participant: string, digest: Digest): Receipt | null {
    const row = this.find(manifest.room, participant, digest)
    return row ? receiptOf(manifest, participant, row) : null
  }
}

function receiptOf(manifest: Manifest, participant: string, row: ContributionRow): Receipt {
  const { room, mode } = manifest
  return {
    room,
    participant,
    manifestDigest: manifestDigest(manifest),
    digest: row.digest as Digest,
    bytes: row.bytes,
    examples: row.examples,
    contribution: row.contribution,
    acceptedAt: row.accepted_at,
    ...(isStepped(mode) && { round: row.round }),
  }
}
