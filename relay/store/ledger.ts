/**
 * What the relay has accepted and published, in SQLite: the authority. A file in the data folder counts only if
 * the ledger names it. Here rooms, contributions and who sent them; rounds and publications have files of their own,
 * and the database itself is ledger-database.ts.
 */
import type { AuditPlace } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { MAX_LOGGED_REFUSALS } from '../protocol/limits.ts'
import { isStepped, type Manifest, manifestDigest, parseManifest } from '../protocol/manifest.ts'
import type { Measured } from '../protocol/measured.ts'
import type { Receipt } from '../protocol/messages.ts'
import { LedgerDatabase } from './ledger-database.ts'
import { PublicationRows } from './ledger-publications.ts'
import { RoundRows } from './ledger-rounds.ts'
import {
  type AcceptedUpdate,
  acceptedUpdate,
  type ContributionRow,
  type LedgerRoom,
  type LedgerRound,
  type NewUpdate,
  type PublishedVersion,
  type Release,
  type Withdrawal,
} from './ledger-types.ts'

export type {
  AcceptedUpdate,
  LedgerRoom,
  LedgerRound,
  NewUpdate,
  PublishedVersion,
  Release,
  Withdrawal,
} from './ledger-types.ts'

export class Ledger {
  readonly #database: LedgerDatabase
  readonly #rounds: RoundRows
  readonly #publications: PublicationRows

  /** Opens or creates the file. Throws ProtocolError `store/newer` if a newer program wrote it. */
  constructor(path: string) {
    this.#database = new LedgerDatabase(path)
    this.#rounds = new RoundRows(this.#database)
    this.#publications = new PublicationRows(this.#database, (room) => this.updates(room))
  }

  /** 32 random bytes, made once under this name and kept. */
  secret(name: 'participant-token' | 'receipt-key'): Uint8Array {
    return this.#database.secret(name)
  }

  /** Null where the host's key is still the first. */
  replacedHostKey(): Uint8Array | null {
    return this.#database.replacedSecret('host-key')
  }

  /** The key and a line in the log of every open room, together. */
  replaceHostKey(at: string): Uint8Array {
    return this.#database.transaction(() => {
      for (const { manifest, closed } of this.rooms()) {
        if (!closed) this.#database.log(manifest.room, { event: 'host-key-replaced' }, at)
      }
      return this.#database.replaceSecret('host-key')
    })
  }

  rooms(): LedgerRoom[] {
    const rows = this.#database
      .prepare('SELECT manifest, closed_at FROM rooms ORDER BY created_at, room')
      .all()
    return (rows as { manifest: string; closed_at: string | null }[]).map((row) => ({
      manifest: parseManifest(JSON.parse(row.manifest)),
      closed: row.closed_at !== null,
    }))
  }

  addRoom(manifest: Manifest, createdAt: string): void {
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

  /** The log of a room from before there was one begins with what the ledger knows. */
  startLog(manifest: Manifest, at: string): void {
    const { room } = manifest
    if (this.auditPlace(room) !== null) return
    this.#database.transaction(() => {
      this.#database.log(room, { event: 'created', room, manifestDigest: manifestDigest(manifest) }, at)
      for (const participant of this.senders(room).keys()) {
        const { digest, contribution, bytes, examples } = this.receipt(manifest, participant)!
        this.#database.log(
          room,
          { event: 'accepted', participant, contribution, digest, bytes, examples },
          at,
        )
      }
      for (const { version, digest, updates, files, createdAt } of this.versions(room)) {
        this.#database.log(
          room,
          { event: 'published', version, digest, updates: [...updates], files },
          createdAt,
        )
      }
    })
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

  /** Closing twice keeps the first time. A round that is open ends with what it has. */
  closeRoom(room: string, closedAt: string): void {
    this.#database.transaction(() => {
      const open = this.rounds(room).find(({ closed }) => !closed)
      if (!open || !this.closeRound(room, open.round, true, closedAt)) this.#closeRoom(room, closedAt)
    })
  }

  #closeRoom(room: string, closedAt: string): void {
    const { changes } = this.#database
      .prepare('UPDATE rooms SET closed_at = ? WHERE room = ? AND closed_at IS NULL')
      .run(closedAt, room)
    if (changes > 0) this.#database.log(room, { event: 'closed' }, closedAt)
  }

  /** Those that were not withdrawn, in the order they were accepted; undecided ones included. */
  updates(room: string): AcceptedUpdate[] {
    const rows = this.#database
      .prepare('SELECT * FROM contributions WHERE room = ? AND withdrawn_at IS NULL ORDER BY contribution')
      .all(room)
    return (rows as ContributionRow[]).map(acceptedUpdate)
  }

  /** The participants whose contribution is in, by participant; in a room of rounds the latest of each. */
  senders(room: string): Map<string, Digest> {
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

  /**
   * Unsigned. Of the round that takes updates, where a room has rounds with one update each; else the participant's
   * last.
   */
  receipt(manifest: Manifest, participant: string): Receipt | null {
    const { room, mode } = manifest
    const round = mode?.kind === 'rounds' ? this.rounds(room).at(-1)!.round : null
    const row = this.#database
      .prepare(
        `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
         WHERE room = ? AND participant = ? AND (? IS NULL OR senders.round = ?)
         ORDER BY senders.round DESC LIMIT 1`,
      )
      .get(room, participant, round, round) as ContributionRow | undefined
    return row ? this.#receiptOf(manifest, participant, row) : null
  }

  /** Of this very update, in whatever round: an answer may have been lost just as a round closed. */
  receiptFor(manifest: Manifest, participant: string, digest: Digest): Receipt | null {
    const row = this.#database
      .prepare(
        `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
         WHERE room = ? AND participant = ? AND digest = ?`,
      )
      .get(manifest.room, participant, digest) as ContributionRow | undefined
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
    this.#database.transaction(() => {
      if (this.receiptFor(manifest, participant, update.digest)) return
      if (this.receipt(manifest, participant)) throw new ProtocolError('upload/second')
      const { closed_at } = this.#database
        .prepare('SELECT closed_at FROM rooms WHERE room = ?')
        .get(room) as {
        closed_at: string | null
      }
      if (closed_at !== null) throw new ProtocolError('room/closed')
      const known = this.#contribution(room, update.digest)
      const start =
        isStepped(mode) && known === undefined ? this.#publications.startVersion(room, update.start) : null
      const round = isStepped(mode) ? this.#rounds.forUpdate(room, mode, start) : 1
      const contribution = known ?? this.#addContribution(manifest, update, round, acceptedAt)
      this.#database
        .prepare('INSERT INTO senders (room, participant, round, contribution) VALUES (?, ?, ?, ?)')
        .run(room, participant, round, contribution)
      const { digest, bytes, examples } = update
      const where = start === null ? {} : { round, start }
      this.#database.log(
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
    this.#database.transaction(() => {
      const { refusals } = this.#database
        .prepare(`SELECT count(*) AS refusals FROM audit WHERE room = ? AND line LIKE '%"event":"refused"%'`)
        .get(room) as { refusals: number }
      if (refusals < MAX_LOGGED_REFUSALS)
        this.#database.log(room, { event: 'refused', participant, code }, at)
    })
  }

  /** Lets a waiting contribution count. Throws ProtocolError `host/unknown-contribution` or `host/not-waiting`. */
  approve(room: string, digest: Digest, at: string): void {
    this.#database.transaction(() => {
      const contribution = this.#contribution(room, digest)
      if (contribution === undefined) throw new ProtocolError('host/unknown-contribution')
      const { changes } = this.#database
        .prepare('UPDATE contributions SET approved = 1 WHERE room = ? AND contribution = ? AND approved = 0')
        .run(room, contribution)
      if (changes === 0) throw new ProtocolError('host/not-waiting')
      this.#database.log(room, { event: 'approved', contribution, digest }, at)
    })
  }

  /**
   * Takes a participant's contribution out; the row stays as a tombstone. If others have sent the very same update it
   * stays for them. Versions it was in are retired. Throws ProtocolError `withdraw/unknown`.
   */
  withdraw(room: string, participant: string, digest: Digest, at: string): Withdrawal {
    return this.#database.transaction(() => {
      if (this.release(room)) throw new ProtocolError('withdraw/too-late')
      const row = this.#database
        .prepare(
          `SELECT contributions.* FROM senders JOIN contributions USING (room, contribution)
           WHERE room = ? AND participant = ? AND digest = ?`,
        )
        .get(room, participant, digest) as ContributionRow | undefined
      if (!row) throw new ProtocolError('withdraw/unknown')
      const { contribution } = row
      this.#rounds.requireOpen(room, row.round)
      this.#database
        .prepare('DELETE FROM senders WHERE room = ? AND participant = ? AND contribution = ?')
        .run(room, participant, contribution)
      const others = this.#database.prepare(
        'SELECT 1 AS found FROM senders WHERE room = ? AND contribution = ?',
      )
      const erased = others.get(room, contribution) === undefined
      this.#database.log(
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
    return this.#database.transaction(() => {
      if (this.release(room)) throw new ProtocolError('withdraw/too-late')
      const contribution = this.#contribution(room, digest)
      if (contribution === undefined) throw new ProtocolError('host/unknown-contribution')
      const { round } = this.updates(room).find((update) => update.contribution === contribution)!
      this.#rounds.requireOpen(room, round)
      const senders = this.#database
        .prepare('SELECT participant FROM senders WHERE room = ? AND contribution = ?')
        .all(room, contribution) as { participant: string }[]
      this.#database
        .prepare('DELETE FROM senders WHERE room = ? AND contribution = ?')
        .run(room, contribution)
      this.#database.log(room, { event: 'withdrawn', contribution, digest, by: 'host', erased: true }, at)
      const retired = this.#bury(room, contribution, digest, at)
      return { digest, erased: true, retired, participants: senders.map(({ participant }) => participant) }
    })
  }

  /** Oldest first; empty where a room has no rounds. */
  rounds(room: string): LedgerRound[] {
    return this.#rounds.all(room)
  }

  setRoundClock(room: string, round: number, from: string | null): void {
    this.#rounds.setClock(room, round, from)
  }

  release(room: string): Release | null {
    return this.#publications.release(room)
  }

  /** PublicationRows.drawRelease */
  drawRelease(...of: Parameters<PublicationRows['drawRelease']>): Release | null {
    return this.#publications.drawRelease(...of)
  }

  /** Oldest first. */
  versions(room: string): PublishedVersion[] {
    return this.#publications.versions(room)
  }

  addVersion(...of: Parameters<PublicationRows['addVersion']>): void {
    this.#publications.addVersion(...of)
  }

  /** The measurement that held this candidate back, or null. */
  heldBack(room: string, digest: Digest): Measured | null {
    return this.#publications.heldBack(room, digest)
  }

  holdBack(...of: Parameters<PublicationRows['holdBack']>): void {
    this.#publications.holdBack(...of)
  }

  /** Where the audit log stands; null before its first line (a room from before there was one). */
  auditPlace(room: string): AuditPlace | null {
    return this.#database.auditPlace(room)
  }

  /** Lines after this many, each without its line feed. */
  auditLines(room: string, after: number): string[] {
    return this.#database.auditLines(room, after)
  }

  close(): void {
    this.#database.close()
  }

  hasUpdate(room: string, digest: Digest): boolean {
    return this.#contribution(room, digest) !== undefined
  }

  /** Those that were not withdrawn; undecided ones included. */
  contributions(room: string): number {
    const row = this.#database
      .prepare('SELECT count(*) AS contributions FROM contributions WHERE room = ? AND withdrawn_at IS NULL')
      .get(room)
    return (row as { contributions: number }).contributions
  }

  /**
   * Ends a round: its updates are now those of the version of its number. The next one opens, unless it was the last,
   * which closes the room. False, and without effect, where it is closed already or nothing counts in it.
   */
  closeRound(room: string, round: number, isLast: boolean, at: string): boolean {
    return this.#database.transaction(() => {
      const updates = this.updates(room)
        .filter((update) => update.round === round)
        .map(({ digest }) => digest)
        .sort()
      if (updates.length === 0) return false
      const { changes } = this.#database
        .prepare('UPDATE rounds SET closed_at = ? WHERE room = ? AND round = ? AND closed_at IS NULL')
        .run(at, room, round)
      if (changes === 0) return false
      this.#database.log(room, { event: 'round-closed', round, updates }, at)
      if (isLast) this.#closeRoom(room, at)
      else this.#rounds.open(room, round + 1, at)
      return true
    })
  }

  #contribution(room: string, digest: Digest): number | undefined {
    const row = this.#database
      .prepare(
        'SELECT contribution FROM contributions WHERE room = ? AND digest = ? AND withdrawn_at IS NULL',
      )
      .get(room, digest) as { contribution: number } | undefined
    return row?.contribution
  }

  #addContribution(
    { room, limits, admission }: Manifest,
    update: NewUpdate,
    round: number,
    acceptedAt: string,
  ): number {
    if (this.contributions(room) >= limits.contributions) throw new ProtocolError('room/full')
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

  /** Marks a contribution withdrawn and retires the versions it was in; their numbers. */
  #bury(room: string, contribution: number, digest: Digest, at: string): number[] {
    this.#database
      .prepare('UPDATE contributions SET withdrawn_at = ? WHERE room = ? AND contribution = ?')
      .run(at, room, contribution)
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
}
