/** The rounds of the rooms that have several: which takes updates, and in which an update counts. */
import { ProtocolError } from '../protocol/errors.ts'
import type { SteppedMode } from '../protocol/manifest.ts'
import type { LedgerDatabase } from './ledger-database.ts'
import type { LedgerRound } from './ledger-types.ts'

export class RoundRows {
  readonly #database: LedgerDatabase

  constructor(database: LedgerDatabase) {
    this.#database = database
  }

  /** Oldest first; empty where a room has no rounds. */
  all(room: string): LedgerRound[] {
    const rows = this.#database
      .prepare('SELECT round, clock_from, closed_at FROM rounds WHERE room = ? ORDER BY round')
      .all(room) as { round: number; clock_from: string | null; closed_at: string | null }[]
    return rows.map((row) => ({
      round: row.round,
      clockFrom: row.clock_from,
      closed: row.closed_at !== null,
    }))
  }

  setClock(room: string, round: number, from: string | null): void {
    this.#database
      .prepare('UPDATE rounds SET clock_from = ? WHERE room = ? AND round = ?')
      .run(from, room, round)
  }

  open(room: string, round: number, at: string): void {
    this.#database
      .prepare('INSERT INTO rounds (room, round, opened_at) VALUES (?, ?, ?)')
      .run(room, round, at)
  }

  /**
   * The round in which an update from this start counts; null for a copy of one that is in already. Throws
   * ProtocolError `update/late` or `room/closed`.
   */
  forUpdate(room: string, mode: SteppedMode, start: number | null): number {
    const open = this.all(room).find(({ closed }) => !closed)
    if (!open) throw new ProtocolError('room/closed')
    const isLate = start !== null && start < open.round - 1
    if (isLate && mode.kind === 'rounds' && mode.late === 'refuse') throw new ProtocolError('update/late')
    return open.round
  }

  /** Others have built on what a closed round published. */
  requireOpen(room: string, round: number): void {
    const found = this.all(room).find((candidate) => candidate.round === round)
    if (found?.closed) throw new ProtocolError('withdraw/too-late')
  }
}
