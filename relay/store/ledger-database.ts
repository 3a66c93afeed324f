/**
 * The ledger's SQLite file: WAL with synchronous=FULL, so that a committed transaction survives losing power. Every
 * change is written together with its line of the audit log, in one transaction.
 */
import { randomBytes } from 'node:crypto'
import Database from 'libsql'
import { type AuditEvent, type AuditPlace, auditLine } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { migrate } from './schema.ts'

export class LedgerDatabase {
  readonly #database: Database.Database
  /** By their text: one prepared anew each time would hold memory that the garbage collector does not see. */
  readonly #prepared = new Map<string, Database.Statement>()
  #closed = false

  /** Opens or creates the file. Throws ProtocolError `store/newer` if a newer program wrote it. */
  constructor(path: string) {
    this.#database = new Database(path)
    this.#database.pragma('journal_mode = WAL')
    this.#database.pragma('synchronous = FULL')
    this.#database.pragma('foreign_keys = ON')
    // The key of a private room's noise must not outlive its use in a freed page.
    this.#database.pragma('secure_delete = ON')
    try {
      migrate(this.#database)
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  /** 32 random bytes, made once under this name and kept. */
  secret(name: 'participant-token' | 'receipt-key'): Uint8Array {
    // As text: libsql 0.5 ends the process when bytes are bound.
    this.prepare('INSERT OR IGNORE INTO secrets (name, secret_hex) VALUES (?, ?)').run(
      name,
      randomBytes(32).toString('hex'),
    )
    const row = this.prepare('SELECT secret_hex FROM secrets WHERE name = ?').get(name)
    return new Uint8Array(Buffer.from((row as { secret_hex: string }).secret_hex, 'hex'))
  }

  /** What was kept under this name by `replaceSecret`; null where nothing was. */
  replacedSecret(name: 'host-key'): Uint8Array | null {
    const row = this.prepare('SELECT secret_hex FROM secrets WHERE name = ?').get(name)
    return row ? new Uint8Array(Buffer.from((row as { secret_hex: string }).secret_hex, 'hex')) : null
  }

  /** 32 new random bytes under this name. */
  replaceSecret(name: 'host-key'): Uint8Array {
    const fresh = randomBytes(32)
    this.prepare('INSERT OR REPLACE INTO secrets (name, secret_hex) VALUES (?, ?)').run(
      name,
      fresh.toString('hex'),
    )
    return new Uint8Array(fresh)
  }

  /** Where the audit log stands; null before its first line (a room from before there was one). */
  auditPlace(room: string): AuditPlace | null {
    const row = this.prepare(
      'SELECT sequence, hash FROM audit WHERE room = ? ORDER BY sequence DESC LIMIT 1',
    ).get(room) as { sequence: number; hash: string } | undefined
    return row ? { sequence: row.sequence, hash: row.hash as Digest } : null
  }

  /** Lines after this many, each without its line feed. */
  auditLines(room: string, after: number): string[] {
    const rows = this.prepare('SELECT line FROM audit WHERE room = ? AND sequence > ? ORDER BY sequence').all(
      room,
      after,
    )
    return (rows as { line: string }[]).map(({ line }) => line)
  }

  /** What was erased stands in the log of changes until that is written back: now, unless somebody is reading. */
  writeBack(): void {
    this.#database.pragma('wal_checkpoint(TRUNCATE)')
  }

  close(): void {
    this.#closed = true
    this.#database.close()
  }

  log(room: string, event: AuditEvent, at: string): void {
    const { sequence, hash, text } = auditLine(event, at, this.auditPlace(room))
    this.prepare('INSERT INTO audit (room, sequence, hash, line) VALUES (?, ?, ?, ?)').run(
      room,
      sequence,
      hash,
      text,
    )
  }

  /** One within another is part of it. */
  transaction<T>(change: () => T): T {
    if (this.#closed) throw new ProtocolError('relay/stopping')
    if (this.#database.inTransaction) return change()
    return this.#database.transaction(change).immediate() as T
  }

  /** libsql ends the whole process when a closed database is used: nothing may get that far. */
  prepare(sql: string): Database.Statement {
    if (this.#closed) throw new ProtocolError('relay/stopping')
    const prepared = this.#prepared.get(sql) ?? this.#database.prepare(sql)
    this.#prepared.set(sql, prepared)
    return prepared
  }
}
