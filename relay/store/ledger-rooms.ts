/** The rooms: their manifests, and until when and with which code they take participants. */
import { isStepped, type Manifest, manifestDigest, parseManifest } from '../protocol/manifest.ts'
import type { LedgerDatabase } from './ledger-database.ts'
import type { RoundRows } from './ledger-rounds.ts'
import type { LedgerRoom } from './ledger-types.ts'

export class RoomRows {
  readonly #database: LedgerDatabase
  readonly #rounds: RoundRows

  constructor(database: LedgerDatabase, rounds: RoundRows) {
    this.#database = database
    this.#rounds = rounds
  }

  /** In the order they were made. */
  all(): LedgerRoom[] {
    const rows = this.#database
      .prepare('SELECT manifest, closed_at FROM rooms ORDER BY created_at, room')
      .all()
    return (rows as { manifest: string; closed_at: string | null }[]).map((row) => ({
      manifest: parseManifest(JSON.parse(row.manifest)),
      closed: row.closed_at !== null,
    }))
  }

  add(manifest: Manifest, createdAt: string): void {
    const { room } = manifest
    this.#database.transaction(() => {
      this.#database
        .prepare('INSERT INTO rooms (room, manifest, created_at) VALUES (?, ?, ?)')
        .run(room, JSON.stringify(manifest), createdAt)
      if (isStepped(manifest.mode)) this.#rounds.open(room, 1, createdAt)
      this.#database.log(
        room,
        { event: 'created', room, manifestDigest: manifestDigest(manifest) },
        createdAt,
      )
    })
  }

  isClosed(room: string): boolean {
    const { closed_at } = this.#database.prepare('SELECT closed_at FROM rooms WHERE room = ?').get(room) as {
      closed_at: string | null
    }
    return closed_at !== null
  }

  /** Closing twice keeps the first time. */
  close(room: string, closedAt: string): void {
    const { changes } = this.#database
      .prepare('UPDATE rooms SET closed_at = ? WHERE room = ? AND closed_at IS NULL')
      .run(closedAt, room)
    if (changes > 0) this.#database.log(room, { event: 'closed' }, closedAt)
  }

  joinCode(room: string): string | null {
    const row = this.#database.prepare('SELECT join_code FROM rooms WHERE room = ?').get(room)
    return (row as { join_code: string | null } | undefined)?.join_code ?? null
  }

  setJoinCode(room: string, code: string | null): void {
    this.#database.prepare('UPDATE rooms SET join_code = ? WHERE room = ?').run(code, room)
  }

  joiningClosed(room: string): boolean {
    const row = this.#database.prepare('SELECT joining_closed_at FROM rooms WHERE room = ?').get(room)
    return ((row as { joining_closed_at: string | null } | undefined)?.joining_closed_at ?? null) !== null
  }

  /** Closing twice keeps the first time. */
  closeJoining(room: string, at: string): void {
    this.#database.transaction(() => {
      const { changes } = this.#database
        .prepare('UPDATE rooms SET joining_closed_at = ? WHERE room = ? AND joining_closed_at IS NULL')
        .run(at, room)
      if (changes > 0) this.#database.log(room, { event: 'joining-closed' }, at)
    })
  }
}
