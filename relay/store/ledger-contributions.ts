/** The contributions: which updates are in, whether they count, and the tombstones of those that were withdrawn. */
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { LedgerDatabase } from './ledger-database.ts'
import { type AcceptedUpdate, acceptedUpdate, type ContributionRow, type NewUpdate } from './ledger-types.ts'

export class ContributionRows {
  readonly #database: LedgerDatabase

  constructor(database: LedgerDatabase) {
    this.#database = database
  }

  /** Those that were not withdrawn, in the order they were accepted; undecided ones included. */
  all(room: string): AcceptedUpdate[] {
    const rows = this.#database
      .prepare('SELECT * FROM contributions WHERE room = ? AND withdrawn_at IS NULL ORDER BY contribution')
      .all(room)
    return (rows as ContributionRow[]).map(acceptedUpdate)
  }

  /** Those that were not withdrawn; undecided ones included. */
  count(room: string): number {
    const row = this.#database
      .prepare('SELECT count(*) AS contributions FROM contributions WHERE room = ? AND withdrawn_at IS NULL')
      .get(room)
    return (row as { contributions: number }).contributions
  }

  /** The contribution's number. */
  find(room: string, digest: Digest): number | undefined {
    const row = this.#database
      .prepare(
        'SELECT contribution FROM contributions WHERE room = ? AND digest = ? AND withdrawn_at IS NULL',
      )
      .get(room, digest) as { contribution: number } | undefined
    return row?.contribution
  }

  /** The new contribution's number. Throws ProtocolError `room/full`. */
  add({ room, limits, admission }: Manifest, update: NewUpdate, round: number, acceptedAt: string): number {
    if (this.count(room) >= limits.contributions) throw new ProtocolError('room/full')
    const { last } = this.#database
      .prepare('SELECT coalesce(max(contribution), 0) AS last FROM contributions WHERE room = ?')
      .get(room) as { last: number }
    this.#database
      .prepare(
        `INSERT INTO contributions (room, contribution, digest, bytes, examples, norm, accepted_at, approved, round)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        room,
        last + 1,
        update.digest,
        update.bytes,
        update.examples,
        update.norm,
        acceptedAt,
        admission === 'approve' ? 0 : 1,
        round,
      )
    return last + 1
  }

  /** Lets a waiting contribution count. Throws ProtocolError `host/unknown-contribution` or `host/not-waiting`. */
  approve(room: string, digest: Digest, at: string): void {
    this.#database.transaction(() => {
      const contribution = this.find(room, digest)
      if (contribution === undefined) throw new ProtocolError('host/unknown-contribution')
      const { changes } = this.#database
        .prepare('UPDATE contributions SET approved = 1 WHERE room = ? AND contribution = ? AND approved = 0')
        .run(room, contribution)
      if (changes === 0) throw new ProtocolError('host/not-waiting')
      this.#database.log(room, { event: 'approved', contribution, digest }, at)
    })
  }

  /** The row stays as a tombstone. */
  bury(room: string, contribution: number, at: string): void {
    this.#database
      .prepare('UPDATE contributions SET withdrawn_at = ? WHERE room = ? AND contribution = ?')
      .run(at, room, contribution)
  }
}
