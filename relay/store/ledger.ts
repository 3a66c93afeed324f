/**
 * What the relay has accepted and published, in SQLite: the authority. A file in the data folder counts only if
 * the ledger names it. WAL with synchronous=FULL: a committed transaction survives losing power. Every change is
 * written together with its line of the audit log, in one transaction.
 */
import { randomBytes } from 'node:crypto'
import Database from 'libsql'
import { type AuditEvent, type AuditPlace, auditLine } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { MAX_LOGGED_REFUSALS } from '../protocol/limits.ts'
import {
  isStepped,
  type Manifest,
  manifestDigest,
  parseManifest,
  type SteppedMode,
} from '../protocol/manifest.ts'
import type { Measured } from '../protocol/measured.ts'
import type { Receipt, Version } from '../protocol/messages.ts'
import type { PrivacyFigures } from '../protocol/privacy.ts'
import { migrate } from './schema.ts'

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

interface ContributionRow {
  digest: string
  contribution: number
  bytes: number
  examples: number
  norm: number | null
  accepted_at: string
  approved: number
  round: number
}

interface VersionRow {
  version: number
  digest: string
  contributions: number
  created_at: string
  files: string
  updates: string
  retired: number
}

export class Ledger {
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
    this.#prepare('INSERT OR IGNORE INTO secrets (name, secret_hex) VALUES (?, ?)').run(
      name,
      randomBytes(32).toString('hex'),
    )
    const row = this.#prepare('SELECT secret_hex FROM secrets WHERE name = ?').get(name)
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
    const { room } = manifest
    this.#transaction(() => {
      this.#prepare('INSERT INTO rooms (room, manifest, created_at) VALUES (?, ?, ?)').run(
        room,
        JSON.stringify(manifest),
        createdAt,
      )
      if (isStepped(manifest.mode)) this.#openRound(room, 1, createdAt)
      this.#log(room, { event: 'created', room, manifestDigest: manifestDigest(manifest) }, createdAt)
    })
  }

  /** The log of a room from before there was one begins with what the ledger knows. */
  startLog(manifest: Manifest, at: string): void {
    const { room } = manifest
    if (this.auditPlace(room) !== null) return
    this.#transaction(() => {
      this.#log(room, { event: 'created', room, manifestDigest: manifestDigest(manifest) }, at)
      for (const participant of this.senders(room).keys()) {
        const { digest, contribution, bytes, examples } = this.receipt(manifest, participant)!
        this.#log(room, { event: 'accepted', participant, contribution, digest, bytes, examples }, at)
      }
      for (const { version, digest, updates, files, createdAt } of this.versions(room)) {
        this.#log(room, { event: 'published', version, digest, updates: [...updates], files }, createdAt)
      }
    })
  }

  joinCode(room: string): string | null {
    const row = this.#prepare('SELECT join_code FROM rooms WHERE room = ?').get(room)
    return (row as { join_code: string | null } | undefined)?.join_code ?? null
  }

  setJoinCode(room: string, code: string | null): void {
    this.#prepare('UPDATE rooms SET join_code = ? WHERE room = ?').run(code, room)
  }

  joiningClosed(room: string): boolean {
    const row = this.#prepare('SELECT joining_closed_at FROM rooms WHERE room = ?').get(room)
    return ((row as { joining_closed_at: string | null } | undefined)?.joining_closed_at ?? null) !== null
  }

  /** Closing twice keeps the first time. */
  closeJoining(room: string, at: string): void {
    this.#transaction(() => {
      const { changes } = this.#prepare(
        'UPDATE rooms SET joining_closed_at = ? WHERE room = ? AND joining_closed_at IS NULL',
      ).run(at, room)
      if (changes > 0) this.#log(room, { event: 'joining-closed' }, at)
    })
  }

  /** Closing twice keeps the first time. A round that is open ends with what it has. */
  closeRoom(room: string, closedAt: string): void {
    this.#transaction(() => {
      const open = this.rounds(room).find(({ closed }) => !closed)
      if (!open || !this.closeRound(room, open.round, true, closedAt)) this.#closeRoom(room, closedAt)
    })
  }

  #closeRoom(room: string, closedAt: string): void {
    const { changes } = this.#prepare(
      'UPDATE rooms SET closed_at = ? WHERE room = ? AND closed_at IS NULL',
    ).run(closedAt, room)
    if (changes > 0) this.#log(room, { event: 'closed' }, closedAt)
  }

  /** Those that were not withdrawn, in the order they were accepted; undecided ones included. */
  updates(room: string): AcceptedUpdate[] {
    const rows = this.#prepare(
      'SELECT * FROM contributions WHERE room = ? AND withdrawn_at IS NULL ORDER BY contribution',
    ).all(room)
    return (rows as ContributionRow[]).map(acceptedUpdate)
  }

  /** The participants whose contribution is in, by participant; in a room of rounds the latest of each. */
  senders(room: string): Map<string, Digest> {
    const rows = this.#prepare(
      `SELECT participant, digest FROM senders JOIN contributions USING (room, contribution) WHERE room = ?
         ORDER BY senders.round`,
    ).all(room)
    return new Map(
      (rows as { participant: string; digest: string }[]).map((row) => [
        row.participant,
        row.digest as Digest,
      ]),
    )
  }

  /**
   * Unsigned. Of the round that takes updates, where a room has rounds with one update each; else the participant's
   * last.
   */
  receipt(manifest: Manifest, participant: string): Receipt | null {
    const { room, mode } = manifest
    const round = mode?.kind === 'rounds' ? this.rounds(room).at(-1)!.round : null
    const row = this.#prepare(
      `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
         WHERE room = ? AND participant = ? AND (? IS NULL OR senders.round = ?)
         ORDER BY senders.round DESC LIMIT 1`,
    ).get(room, participant, round, round) as ContributionRow | undefined
    return row ? this.#receiptOf(manifest, participant, row) : null
  }

  /** Of this very update, in whatever round: an answer may have been lost just as a round closed. */
  receiptFor(manifest: Manifest, participant: string, digest: Digest): Receipt | null {
    const row = this.#prepare(
      `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
         WHERE room = ? AND participant = ? AND digest = ?`,
    ).get(manifest.room, participant, digest) as ContributionRow | undefined
    return row ? this.#receiptOf(manifest, participant, row) : null
  }

  #receiptOf(manifest: Manifest, participant: string, row: ContributionRow): Receipt {
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

  /**
   * Counts an update whose file is durable, and gives the participant its receipt; one transaction. The set of
   * updates is by digest: one that is already in gains a receipt and nothing else.
   * Throws ProtocolError `upload/second`, `room/closed`, `room/full`, `update/late` or `update/unknown-start`.
   */
  accept(manifest: Manifest, participant: string, update: NewUpdate, acceptedAt: string): Receipt {
    const { room, mode } = manifest
    this.#transaction(() => {
      if (this.receiptFor(manifest, participant, update.digest)) return
      if (this.receipt(manifest, participant)) throw new ProtocolError('upload/second')
      const { closed_at } = this.#prepare('SELECT closed_at FROM rooms WHERE room = ?').get(room) as {
        closed_at: string | null
      }
      if (closed_at !== null) throw new ProtocolError('room/closed')
      const known = this.#contribution(room, update.digest)
      const start = isStepped(mode) && known === undefined ? this.#startVersion(room, update.start) : null
      const round = isStepped(mode) ? this.#roundFor(room, mode, start) : 1
      const contribution = known ?? this.#addContribution(manifest, update, round, acceptedAt)
      this.#prepare('INSERT INTO senders (room, participant, round, contribution) VALUES (?, ?, ?, ?)').run(
        room,
        participant,
        round,
        contribution,
      )
      const { digest, bytes, examples } = update
      const where = start === null ? {} : { round, start }
      this.#log(
        room,
        { event: 'accepted', participant, contribution, digest, bytes, examples, ...where },
        acceptedAt,
      )
    })
    const receipt = this.receiptFor(manifest, participant, update.digest)
    if (!receipt) throw new Error('an accepted update has no receipt')
    return receipt
  }

  /** An update that was looked at and refused; the first thousand of a room are in its log. */
  logRefusal(room: string, participant: string, code: ErrorCode, at: string): void {
    this.#transaction(() => {
      const { refusals } = this.#prepare(
        `SELECT count(*) AS refusals FROM audit WHERE room = ? AND line LIKE '%"event":"refused"%'`,
      ).get(room) as { refusals: number }
      if (refusals < MAX_LOGGED_REFUSALS) this.#log(room, { event: 'refused', participant, code }, at)
    })
  }

  /** Lets a waiting contribution count. Throws ProtocolError `host/unknown-contribution` or `host/not-waiting`. */
  approve(room: string, digest: Digest, at: string): void {
    this.#transaction(() => {
      const contribution = this.#contribution(room, digest)
      if (contribution === undefined) throw new ProtocolError('host/unknown-contribution')
      const { changes } = this.#prepare(
        'UPDATE contributions SET approved = 1 WHERE room = ? AND contribution = ? AND approved = 0',
      ).run(room, contribution)
      if (changes === 0) throw new ProtocolError('host/not-waiting')
      this.#log(room, { event: 'approved', contribution, digest }, at)
    })
  }

  /**
   * Takes a participant's contribution out; the row stays as a tombstone. If others have sent the very same update it
   * stays for them. Versions it was in are retired. Throws ProtocolError `withdraw/unknown`.
   */
  withdraw(room: string, participant: string, digest: Digest, at: string): Withdrawal {
    return this.#transaction(() => {
      if (this.release(room)) throw new ProtocolError('withdraw/too-late')
      const row = this.#prepare(
        `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
           WHERE room = ? AND participant = ? AND digest = ?`,
      ).get(room, participant, digest) as ContributionRow | undefined
      if (!row) throw new ProtocolError('withdraw/unknown')
      const { contribution } = row
      this.#requireOpenRound(room, row.round)
      this.#prepare('DELETE FROM senders WHERE room = ? AND participant = ? AND contribution = ?').run(
        room,
        participant,
        contribution,
      )
      const others = this.#prepare('SELECT 1 AS found FROM senders WHERE room = ? AND contribution = ?')
      const erased = others.get(room, contribution) === undefined
      this.#log(
        room,
        { event: 'withdrawn', participant, contribution, digest, by: 'participant', erased },
        at,
      )
      const retired = erased ? this.#bury(room, contribution, digest, at) : []
      return { digest, erased, retired, participants: [participant] }
    })
  }

  /** The host takes a contribution out, whoever sent it. Throws ProtocolError `host/unknown-contribution`. */
  remove(room: string, digest: Digest, at: string): Withdrawal {
    return this.#transaction(() => {
      if (this.release(room)) throw new ProtocolError('withdraw/too-late')
      const contribution = this.#contribution(room, digest)
      if (contribution === undefined) throw new ProtocolError('host/unknown-contribution')
      const { round } = this.updates(room).find((update) => update.contribution === contribution)!
      this.#requireOpenRound(room, round)
      const senders = this.#prepare(
        'SELECT participant FROM senders WHERE room = ? AND contribution = ?',
      ).all(room, contribution) as { participant: string }[]
      this.#prepare('DELETE FROM senders WHERE room = ? AND contribution = ?').run(room, contribution)
      this.#log(room, { event: 'withdrawn', contribution, digest, by: 'host', erased: true }, at)
      const retired = this.#bury(room, contribution, digest, at)
      return { digest, erased: true, retired, participants: senders.map(({ participant }) => participant) }
    })
  }

  release(room: string): Release | null {
    const row = this.#prepare('SELECT updates, noise_key_hex FROM releases WHERE room = ?').get(room) as
      | { updates: string; noise_key_hex: string | null }
      | undefined
    return row ? { updates: JSON.parse(row.updates) as Digest[], noiseKey: row.noise_key_hex } : null
  }

  /**
   * Fixes what a private room publishes: all that counts, and the key of the noise, before any of it is used. Null
   * while nothing counts. Asked again, the same: there is never a second key.
   */
  drawRelease(room: string, figures: (contributions: number) => PrivacyFigures, at: string): Release | null {
    return this.#transaction(() => {
      const drawn = this.release(room)
      if (drawn) return drawn
      const updates = this.updates(room)
        .map(({ digest }) => digest)
        .sort()
      if (updates.length === 0) return null
      const noiseKey = randomBytes(32).toString('hex')
      this.#prepare('INSERT INTO releases (room, updates, noise_key_hex, drawn_at) VALUES (?, ?, ?, ?)').run(
        room,
        JSON.stringify(updates),
        noiseKey,
        at,
      )
      this.#log(room, { event: 'drawn', updates, privacy: figures(updates.length) }, at)
      return { updates, noiseKey }
    })
  }

  hasUpdate(room: string, digest: Digest): boolean {
    return this.#contribution(room, digest) !== undefined
  }

  /** Those that were not withdrawn; undecided ones included. */
  contributions(room: string): number {
    const row = this.#prepare(
      'SELECT count(*) AS contributions FROM contributions WHERE room = ? AND withdrawn_at IS NULL',
    ).get(room)
    return (row as { contributions: number }).contributions
  }

  /** Oldest first. */
  versions(room: string): PublishedVersion[] {
    const rows = this.#prepare('SELECT * FROM versions WHERE room = ? ORDER BY version').all(room)
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
    this.#transaction(() => {
      const counting = new Set(
        this.updates(room)
          .filter(({ approved }) => approved)
          .map((update) => update.digest),
      )
      // One was withdrawn while its merge was made.
      if (!updates.every((update) => counting.has(update))) throw new ProtocolError('withdraw/unknown')
      this.#prepare(
        `INSERT INTO versions (room, version, digest, contributions, created_at, files, updates)
           VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ).run(
        room,
        version.version,
        digest,
        version.contributions,
        createdAt,
        JSON.stringify(files),
        JSON.stringify(updates),
      )
      this.#prepare('UPDATE releases SET noise_key_hex = NULL WHERE room = ?').run(room)
      this.#log(
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

  /** The measurement that held this candidate back, or null. */
  heldBack(room: string, digest: Digest): Measured | null {
    const row = this.#prepare('SELECT base_loss, loss FROM held_back WHERE room = ? AND digest = ?').get(
      room,
      digest,
    ) as { base_loss: number; loss: number } | undefined
    return row ? { baseLoss: row.base_loss, loss: row.loss } : null
  }

  holdBack(room: string, digest: Digest, updates: readonly Digest[], measured: Measured, at: string): void {
    this.#transaction(() => {
      this.#prepare(
        'INSERT OR REPLACE INTO held_back (room, digest, base_loss, loss) VALUES (?, ?, ?, ?)',
      ).run(room, digest, measured.baseLoss, measured.loss)
      this.#log(room, { event: 'held-back', digest, updates: [...updates].sort(), measured }, at)
    })
  }

  /** Where the audit log stands; null before its first line (a room from before there was one). */
  auditPlace(room: string): AuditPlace | null {
    const row = this.#prepare(
      'SELECT sequence, hash FROM audit WHERE room = ? ORDER BY sequence DESC LIMIT 1',
    ).get(room) as { sequence: number; hash: string } | undefined
    return row ? { sequence: row.sequence, hash: row.hash as Digest } : null
  }

  /** Lines after this many, each without its line feed. */
  auditLines(room: string, after: number): string[] {
    const rows = this.#prepare(
      'SELECT line FROM audit WHERE room = ? AND sequence > ? ORDER BY sequence',
    ).all(room, after)
    return (rows as { line: string }[]).map(({ line }) => line)
  }

  close(): void {
    this.#closed = true
    this.#database.close()
  }

  /** Oldest first; empty where a room has no rounds. */
  rounds(room: string): LedgerRound[] {
    const rows = this.#prepare(
      'SELECT round, clock_from, closed_at FROM rounds WHERE room = ? ORDER BY round',
    ).all(room) as { round: number; clock_from: string | null; closed_at: string | null }[]
    return rows.map((row) => ({
      round: row.round,
      clockFrom: row.clock_from,
      closed: row.closed_at !== null,
    }))
  }

  setRoundClock(room: string, round: number, from: string | null): void {
    this.#prepare('UPDATE rounds SET clock_from = ? WHERE room = ? AND round = ?').run(from, room, round)
  }

  /**
   * Ends a round: its updates are now those of the version of its number. The next one opens, unless it was the last,
   * which closes the room. False, and without effect, where it is closed already or nothing counts in it.
   */
  closeRound(room: string, round: number, isLast: boolean, at: string): boolean {
    return this.#transaction(() => {
      const updates = this.updates(room)
        .filter((update) => update.round === round)
        .map(({ digest }) => digest)
        .sort()
      if (updates.length === 0) return false
      const { changes } = this.#prepare(
        'UPDATE rounds SET closed_at = ? WHERE room = ? AND round = ? AND closed_at IS NULL',
      ).run(at, room, round)
      if (changes === 0) return false
      this.#log(room, { event: 'round-closed', round, updates }, at)
      if (isLast) this.#closeRoom(room, at)
      else this.#openRound(room, round + 1, at)
      return true
    })
  }

  #openRound(room: string, round: number, at: string): void {
    this.#prepare('INSERT INTO rounds (room, round, opened_at) VALUES (?, ?, ?)').run(room, round, at)
  }

  /** The number of the version that has this digest; 0 for null, the room's initial adapter. */
  #startVersion(room: string, start: string | null): number {
    if (start === null) return 0
    const row = this.#prepare(
      'SELECT version FROM versions WHERE room = ? AND digest = ? AND retired = 0',
    ).get(room, start) as { version: number } | undefined
    if (!row) throw new ProtocolError('update/unknown-start')
    return row.version
  }

  /**
   * The round in which an update from this start counts; null for a copy of one that is in already. Throws
   * ProtocolError `update/late` or `room/closed`.
   */
  #roundFor(room: string, mode: SteppedMode, start: number | null): number {
    const open = this.rounds(room).find(({ closed }) => !closed)
    if (!open) throw new ProtocolError('room/closed')
    const isLate = start !== null && start < open.round - 1
    if (isLate && mode.kind === 'rounds' && mode.late === 'refuse') throw new ProtocolError('update/late')
    return open.round
  }

  /** Others have built on what a closed round published. */
  #requireOpenRound(room: string, round: number): void {
    const found = this.rounds(room).find((candidate) => candidate.round === round)
    if (found?.closed) throw new ProtocolError('withdraw/too-late')
  }

  #contribution(room: string, digest: Digest): number | undefined {
    const row = this.#prepare(
      'SELECT contribution FROM contributions WHERE room = ? AND digest = ? AND withdrawn_at IS NULL',
    ).get(room, digest) as { contribution: number } | undefined
    return row?.contribution
  }

  #addContribution(
    { room, limits, admission }: Manifest,
    update: NewUpdate,
    round: number,
    acceptedAt: string,
  ): number {
    if (this.contributions(room) >= limits.contributions) throw new ProtocolError('room/full')
    const { last } = this.#prepare(
      'SELECT coalesce(max(contribution), 0) AS last FROM contributions WHERE room = ?',
    ).get(room) as { last: number }
    this.#prepare(
      `INSERT INTO contributions (room, contribution, digest, bytes, examples, norm, accepted_at, approved, round)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
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

  /** Marks a contribution withdrawn and retires the versions it was in; their numbers. */
  #bury(room: string, contribution: number, digest: Digest, at: string): number[] {
    this.#prepare('UPDATE contributions SET withdrawn_at = ? WHERE room = ? AND contribution = ?').run(
      at,
      room,
      contribution,
    )
    const retired = this.versions(room).filter(
      (version) => !version.retired && version.updates.includes(digest),
    )
    for (const { version } of retired) {
      this.#prepare('UPDATE versions SET retired = 1 WHERE room = ? AND version = ?').run(room, version)
      this.#log(room, { event: 'retired', version }, at)
    }
    return retired.map(({ version }) => version)
  }

  #log(room: string, event: AuditEvent, at: string): void {
    const { sequence, hash, text } = auditLine(event, at, this.auditPlace(room))
    this.#prepare('INSERT INTO audit (room, sequence, hash, line) VALUES (?, ?, ?, ?)').run(
      room,
      sequence,
      hash,
      text,
    )
  }

  /** One within another is part of it. */
  #transaction<T>(change: () => T): T {
    if (this.#closed) throw new ProtocolError('relay/stopping')
    if (this.#database.inTransaction) return change()
    return this.#database.transaction(change).immediate() as T
  }

  /** libsql ends the whole process when a closed database is used: nothing may get that far. */
  #prepare(sql: string): Database.Statement {
    if (this.#closed) throw new ProtocolError('relay/stopping')
    const prepared = this.#prepared.get(sql) ?? this.#database.prepare(sql)
    this.#prepared.set(sql, prepared)
    return prepared
  }
}

const acceptedUpdate = (row: ContributionRow): AcceptedUpdate => ({
  digest: row.digest as Digest,
  bytes: row.bytes,
  examples: row.examples,
  contribution: row.contribution,
  norm: row.norm,
  acceptedAt: row.accepted_at,
  approved: row.approved === 1,
  round: row.round,
})
