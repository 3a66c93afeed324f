/**
 * Rooms that the host has deleted. All rows of such a room are gone; what stays is that there was one, in a log of its
 * own that names how the room's log ended: a copy that somebody exported can still be told from a forged one. The name
 * stays taken, because links, and the tokens of those who were in it, would otherwise open another room.
 */
import { type AuditPlace, auditLine } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import type { DeletedRoom } from '../protocol/host.ts'
import { type Manifest, manifestDigest } from '../protocol/manifest.ts'
import type { LedgerDatabase } from './ledger-database.ts'

/** Those that refer to others come first. */
const TABLES = ['senders', 'contributions', 'versions', 'releases', 'rounds', 'held_back', 'audit', 'rooms']

export class DeletedRoomRows {
  readonly #database: LedgerDatabase

  constructor(database: LedgerDatabase) {
    this.#database = database
  }

  names(): string[] {
    const rows = this.#database.prepare('SELECT room FROM deleted_rooms ORDER BY sequence').all()
    return (rows as { room: string }[]).map(({ room }) => room)
  }

  /** All that the room has here goes, and the line that says so comes, in one transaction. */
  delete(manifest: Manifest, at: string): DeletedRoom {
    const { room } = manifest
    const deletion = this.#database.transaction(() => {
      const { sequence: lines, hash } = this.#database.auditPlace(room)!
      const deleted = { room, manifestDigest: manifestDigest(manifest), log: { lines, hash } }
      for (const table of TABLES) this.#database.prepare(`DELETE FROM ${table} WHERE room = ?`).run(room)
      const line = auditLine({ event: 'deleted', ...deleted }, at, this.place())
      this.#database
        .prepare('INSERT INTO deleted_rooms (sequence, room, hash, line) VALUES (?, ?, ?, ?)')
        .run(line.sequence, room, line.hash, line.text)
      return { ...deleted, deletedAt: at }
    })
    this.#database.writeBack()
    return deletion
  }

  /** Where their log stands; null before the first. */
  place(): AuditPlace | null {
    const row = this.#database
      .prepare('SELECT sequence, hash FROM deleted_rooms ORDER BY sequence DESC LIMIT 1')
      .get() as { sequence: number; hash: string } | undefined
    return row ? { sequence: row.sequence, hash: row.hash as Digest } : null
  }

  /** Lines after this many, each without its line feed. */
  lines(after: number): string[] {
    const rows = this.#database
      .prepare('SELECT line FROM deleted_rooms WHERE sequence > ? ORDER BY sequence')
      .all(after)
    return (rows as { line: string }[]).map(({ line }) => line)
  }
}
