/** What the ledger knows of publications: versions, a private room's one release, and candidates that were held back. */
import { randomBytes } from 'node:crypto'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Measured } from '../protocol/measured.ts'
import type { Version } from '../protocol/messages.ts'
import type { PrivacyFigures } from '../protocol/privacy.ts'
import type { LedgerDatabase } from './ledger-database.ts'
import type { AcceptedUpdate, PublishedVersion, Release, VersionRow } from './ledger-types.ts'

export class PublicationRows {
  readonly #database: LedgerDatabase
  /** Those that were not withdrawn. */
  readonly #updates: (room: string) => readonly AcceptedUpdate[]

  constructor(database: LedgerDatabase, updates: (room: string) => readonly AcceptedUpdate[]) {
    this.#database = database
    this.#updates = updates
  }

  /** Oldest first. */
  versions(room: string): PublishedVersion[] {
    const rows = this.#database.prepare('SELECT * FROM versions WHERE room = ? ORDER BY version').all(room)
    return (rows as VersionRow[]).map((row) => ({
      version: row.version,
      digest: row.digest as Digest,
      contributions: row.contributions,
      createdAt: row.created_at,
      ...(row.retired ? { retired: true as const } : {}),
      files: JSON.parse(row.files) as Version['files'],
      updates: JSON.parse(row.updates) as Digest[],
    }))
  }

  addVersion(room: string, version: PublishedVersion, measured: Measured | null = null): void {
    const { updates, files, digest, createdAt } = version
    this.#database.transaction(() => {
      const counting = new Set(
        this.#updates(room)
          .filter(({ approved }) => approved)
          .map((update) => update.digest),
      )
      // One was withdrawn while its merge was made.
      if (!updates.every((update) => counting.has(update))) throw new ProtocolError('withdraw/unknown')
      this.#database
        .prepare(
          `INSERT INTO versions (room, version, digest, contributions, created_at, files, updates)
           VALUES (?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          room,
          version.version,
          digest,
          version.contributions,
          createdAt,
          JSON.stringify(files),
          JSON.stringify(updates),
        )
      this.#database.prepare('UPDATE releases SET noise_key_hex = NULL WHERE room = ?').run(room)
      this.#database.log(
        room,
        {
          event: 'published',
          version: version.version,
          digest,
          updates: [...updates],
          files: [...files],
          ...(measured && { measured }),
        },
        createdAt,
      )
    })
  }

  /** Retires the versions that this update is in; their numbers. */
  retire(room: string, digest: Digest, at: string): number[] {
    const retired = this.versions(room).filter(
      (version) => !version.retired && version.updates.includes(digest),
    )
    for (const { version } of retired) {
      this.#database
        .prepare('UPDATE versions SET retired = 1 WHERE room = ? AND version = ?')
        .run(room, version)
      this.#database.log(room, { event: 'retired', version }, at)
    }
    return retired.map(({ version }) => version)
  }

  /** The measurement that held this candidate back, or null. */
  heldBack(room: string, digest: Digest): Measured | null {
    const row = this.#database
      .prepare('SELECT base_loss, loss FROM held_back WHERE room = ? AND digest = ?')
      .get(room, digest) as { base_loss: number; loss: number } | undefined
    return row ? { baseLoss: row.base_loss, loss: row.loss } : null
  }

  holdBack(room: string, digest: Digest, updates: readonly Digest[], measured: Measured, at: string): void {
    this.#database.transaction(() => {
      this.#database
        .prepare('INSERT OR REPLACE INTO held_back (room, digest, base_loss, loss) VALUES (?, ?, ?, ?)')
        .run(room, digest, measured.baseLoss, measured.loss)
      this.#database.log(room, { event: 'held-back', digest, updates: [...updates].sort(), measured }, at)
    })
  }

  release(room: string): Release | null {
    const row = this.#database
      .prepare('SELECT updates, noise_key_hex FROM releases WHERE room = ?')
      .get(room) as { updates: string; noise_key_hex: string | null } | undefined
    return row ? { updates: JSON.parse(row.updates) as Digest[], noiseKey: row.noise_key_hex } : null
  }

  /**
   * Fixes what a private room publishes: all that counts, and the key of the noise, before any of it is used. Null
   * while nothing counts. Asked again, the same: there is never a second key.
   */
  drawRelease(room: string, figures: (contributions: number) => PrivacyFigures, at: string): Release | null {
    return this.#database.transaction(() => {
      const drawn = this.release(room)
      if (drawn) return drawn
      const updates = this.#updates(room)
        .map(({ digest }) => digest)
        .sort()
      if (updates.length === 0) return null
      const noiseKey = randomBytes(32).toString('hex')
      this.#database
        .prepare('INSERT INTO releases (room, updates, noise_key_hex, drawn_at) VALUES (?, ?, ?, ?)')
        .run(room, JSON.stringify(updates), noiseKey, at)
      this.#database.log(room, { event: 'drawn', updates, privacy: figures(updates.length) }, at)
      return { updates, noiseKey }
    })
  }

  /** The number of the version that has this digest; 0 for null, the room's initial adapter. */
  startVersion(room: string, start: string | null): number {
    if (start === null) return 0
    const row = this.#database
      .prepare('SELECT version FROM versions WHERE room = ? AND digest = ? AND retired = 0')
      .get(room, start) as { version: number } | undefined
    if (!row) throw new ProtocolError('update/unknown-start')
    return row.version
  }
}
