/**
 * What the relay has accepted and published, in SQLite: the authority. A file in the data folder counts only if
 * the ledger names it. WAL with synchronous=FULL: a committed transaction survives losing power.
 */
import { randomBytes } from 'node:crypto'
import Database from 'libsql'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Manifest, manifestDigest, parseManifest } from '../protocol/manifest.ts'
import type { Receipt, Version } from '../protocol/messages.ts'

const SCHEMA_VERSION = 1

const SCHEMA = `
  CREATE TABLE rooms (
    room TEXT PRIMARY KEY, manifest TEXT NOT NULL, created_at TEXT NOT NULL, closed_at TEXT
  ) STRICT;
  CREATE TABLE updates (
    room TEXT NOT NULL REFERENCES rooms, digest TEXT NOT NULL, contribution INTEGER NOT NULL,
    bytes INTEGER NOT NULL, examples INTEGER NOT NULL, accepted_at TEXT NOT NULL,
    PRIMARY KEY (room, digest), UNIQUE (room, contribution)
  ) STRICT;
  CREATE TABLE receipts (
    room TEXT NOT NULL, participant TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (room, participant), FOREIGN KEY (room, digest) REFERENCES updates (room, digest)
  ) STRICT;
  CREATE TABLE versions (
    room TEXT NOT NULL REFERENCES rooms, version INTEGER NOT NULL, digest TEXT NOT NULL,
    contributions INTEGER NOT NULL, created_at TEXT NOT NULL, files TEXT NOT NULL,
    PRIMARY KEY (room, version)
  ) STRICT;
  CREATE TABLE secrets (name TEXT PRIMARY KEY, secret_hex TEXT NOT NULL) STRICT;
`

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
}

interface UpdateRow {
  digest: string
  contribution: number
  bytes: number
  examples: number
  accepted_at: string
}

interface VersionRow {
  version: number
  digest: string
  contributions: number
  created_at: string
  files: string
}

export class Ledger {
  readonly #database: Database.Database
  #closed = false

  /** Opens or creates the file. Throws ProtocolError `store/newer` if a newer program wrote it. */
  constructor(path: string) {
    this.#database = new Database(path)
    this.#database.pragma('journal_mode = WAL')
    this.#database.pragma('synchronous = FULL')
    this.#database.pragma('foreign_keys = ON')
    const { user_version } = this.#prepare('PRAGMA user_version').get() as { user_version: number }
    if (user_version > SCHEMA_VERSION) {
      this.#database.close()
      throw new ProtocolError('store/newer')
    }
    if (user_version === 0) {
      this.#database.transaction(() => {
        this.#database.exec(SCHEMA)
        this.#database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
      })()
    }
  }

  /** The key that participants' resume tokens are made with; made once and kept. */
  tokenKey(): Uint8Array {
    // As text: libsql 0.5 ends the process when bytes are bound.
    this.#prepare("INSERT OR IGNORE INTO secrets (name, secret_hex) VALUES ('participant-token', ?)").run(
      randomBytes(32).toString('hex'),
    )
    const row = this.#prepare("SELECT secret_hex FROM secrets WHERE name = 'participant-token'").get()
    return new Uint8Array(Buffer.from((row as { secret_hex: string }).secret_hex, 'hex'))
  }

  rooms(): LedgerRoom[] {
    const rows = this.#prepare('SELECT manifest, closed_at FROM rooms ORDER BY created_at, room').all()
    return (rows as { manifest: string; closed_at: string | null }[]).map((row) => ({
      manifest: parseManifest(JSON.parse(row.manifest)),
      closed: row.closed_at !== null,
    }))
  }

  addRoom(manifest: Manifest, createdAt: string): void {
    this.#prepare('INSERT INTO rooms (room, manifest, created_at) VALUES (?, ?, ?)').run(
      manifest.room,
      JSON.stringify(manifest),
      createdAt,
    )
  }

  /** Closing twice keeps the first time. */
  closeRoom(room: string, closedAt: string): void {
    this.#prepare('UPDATE rooms SET closed_at = ? WHERE room = ? AND closed_at IS NULL').run(closedAt, room)
  }

  /** In the order they were accepted. */
  updates(room: string): AcceptedUpdate[] {
    const rows = this.#prepare('SELECT * FROM updates WHERE room = ? ORDER BY contribution').all(room)
    return (rows as UpdateRow[]).map(({ digest, bytes, examples, contribution }) => ({
      digest: digest as Digest,
      bytes,
      examples,
      contribution,
    }))
  }

  receipt(manifest: Manifest, participant: string): Receipt | null {
    const row = this.#prepare(
      `SELECT updates.* FROM receipts JOIN updates USING (room, digest)
         WHERE receipts.room = ? AND receipts.participant = ?`,
    ).get(manifest.room, participant) as UpdateRow | undefined
    if (!row) return null
    return {
      room: manifest.room,
      participant,
      manifestDigest: manifestDigest(manifest),
      digest: row.digest as Digest,
      bytes: row.bytes,
      examples: row.examples,
      contribution: row.contribution,
      acceptedAt: row.accepted_at,
    }
  }

  /**
   * Counts an update whose file is durable, and gives the participant its receipt; one transaction. The set of
   * updates is by digest: one that is already in gains a receipt and nothing else.
   * Throws ProtocolError `upload/second`, `room/closed` or `room/full`.
   */
  accept(
    manifest: Manifest,
    participant: string,
    update: { digest: Digest; bytes: number; examples: number },
    acceptedAt: string,
  ): Receipt {
    const { room } = manifest
    if (this.#closed) throw new ProtocolError('relay/stopping')
    this.#database
      .transaction(() => {
        const earlier = this.receipt(manifest, participant)
        if (earlier) {
          if (earlier.digest === update.digest) return
          throw new ProtocolError('upload/second')
        }
        const { closed_at } = this.#database
          .prepare('SELECT closed_at FROM rooms WHERE room = ?')
          .get(room) as {
          closed_at: string | null
        }
        if (closed_at !== null) throw new ProtocolError('room/closed')
        if (!this.hasUpdate(room, update.digest)) {
          const contribution = this.contributions(room) + 1
          if (contribution > manifest.limits.contributions) throw new ProtocolError('room/full')
          this.#prepare(
            `INSERT INTO updates (room, digest, contribution, bytes, examples, accepted_at)
               VALUES (?, ?, ?, ?, ?, ?)`,
          ).run(room, update.digest, contribution, update.bytes, update.examples, acceptedAt)
        }
        this.#database
          .prepare('INSERT INTO receipts (room, participant, digest) VALUES (?, ?, ?)')
          .run(room, participant, update.digest)
      })
      .immediate()
    const receipt = this.receipt(manifest, participant)
    if (!receipt) throw new Error('an accepted update has no receipt')
    return receipt
  }

  hasUpdate(room: string, digest: Digest): boolean {
    const row = this.#prepare('SELECT 1 AS found FROM updates WHERE room = ? AND digest = ?')
    return row.get(room, digest) !== undefined
  }

  contributions(room: string): number {
    const row = this.#prepare('SELECT count(*) AS contributions FROM updates WHERE room = ?').get(room)
    return (row as { contributions: number }).contributions
  }

  /** Oldest first. */
  versions(room: string): Version[] {
    const rows = this.#prepare('SELECT * FROM versions WHERE room = ? ORDER BY version').all(room)
    return (rows as VersionRow[]).map((row) => ({
      version: row.version,
      digest: row.digest as Digest,
      contributions: row.contributions,
      createdAt: row.created_at,
      files: JSON.parse(row.files) as Version['files'],
    }))
  }

  addVersion(room: string, version: Version): void {
    this.#prepare(
      `INSERT INTO versions (room, version, digest, contributions, created_at, files)
         VALUES (?, ?, ?, ?, ?, ?)`,
    ).run(
      room,
      version.version,
      version.digest,
      version.contributions,
      version.createdAt,
      JSON.stringify(version.files),
    )
  }

  close(): void {
    this.#closed = true
    this.#database.close()
  }

  /** libsql ends the whole process when a closed database is used: nothing may get that far. */
  #prepare(sql: string): Database.Statement {
    if (this.#closed) throw new ProtocolError('relay/stopping')
    return this.#database.prepare(sql)
  }
}
