/**
 * What the relay has accepted and published, in SQLite: the authority. A file in the data folder counts only if
 * the ledger names it. Here what a change does to all the tables that it touches, in one transaction; each table's rows
 * have a file of their own, and the database itself is ledger-database.ts.
 */
import type { AuditPlace } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { MAX_LOGGED_REFUSALS } from '../protocol/limits.ts'
import { isStepped, type Manifest, manifestDigest } from '../protocol/manifest.ts'
import type { Measured } from '../protocol/measured.ts'
import type { Receipt } from '../protocol/messages.ts'
import { ContributionRows } from './ledger-contributions.ts'
import { LedgerDatabase } from './ledger-database.ts'
import { DeletedRoomRows } from './ledger-deleted.ts'
import { PublicationRows } from './ledger-publications.ts'
import { RoomRows } from './ledger-rooms.ts'
import { RoundRows } from './ledger-rounds.ts'
import { SenderRows } from './ledger-senders.ts'
import type {
  AcceptedUpdate,
  LedgerRoom,
  LedgerRound,
  NewUpdate,
  PublishedVersion,
  Release,
  Withdrawal,
} from './ledger-types.ts'
import { Withdrawals } from './ledger-withdrawals.ts'

export class Ledger {
  readonly #database: LedgerDatabase
  readonly #rounds: RoundRows
  readonly #rooms: RoomRows
  readonly #contributions: ContributionRows
  readonly #senders: SenderRows
  readonly #publications: PublicationRows
  readonly #withdrawals: Withdrawals
  /** Rooms that there were. */
  readonly deleted: DeletedRoomRows

  /** Opens or creates the file. Throws ProtocolError `store/newer` if a newer program wrote it. */
  constructor(path: string) {
    this.#database = new LedgerDatabase(path)
    this.#rounds = new RoundRows(this.#database)
    this.#rooms = new RoomRows(this.#database, this.#rounds)
    this.deleted = new DeletedRoomRows(this.#database)
    this.#contributions = new ContributionRows(this.#database)
    this.#senders = new SenderRows(this.#database, this.#rounds)
    this.#publications = new PublicationRows(this.#database, (room) => this.updates(room))
    this.#withdrawals = new Withdrawals(this.#database, {
      rounds: this.#rounds,
      contributions: this.#contributions,
      senders: this.#senders,
      publications: this.#publications,
    })
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
    return this.#rooms.all()
  }

  addRoom(manifest: Manifest, createdAt: string): void {
    this.#rooms.add(manifest, createdAt)
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
    return this.#rooms.joinCode(room)
  }

  setJoinCode(room: string, code: string | null): void {
    this.#rooms.setJoinCode(room, code)
  }

  joiningClosed(room: string): boolean {
    return this.#rooms.joiningClosed(room)
  }

  /** Closing twice keeps the first time. */
  closeJoining(room: string, at: string): void {
    this.#rooms.closeJoining(room, at)
  }

  /** Closing twice keeps the first time. A round that is open ends with what it has. */
  closeRoom(room: string, closedAt: string): void {
    this.#database.transaction(() => {
      const open = this.rounds(room).find(({ closed }) => !closed)
      if (!open || !this.closeRound(room, open.round, true, closedAt)) this.#rooms.close(room, closedAt)
    })
  }

  /** Those that were not withdrawn, in the order they were accepted; undecided ones included. */
  updates(room: string): AcceptedUpdate[] {
    return this.#contributions.all(room)
  }

  /** The participants whose contribution is in, by participant; in a room of rounds the latest of each. */
  senders(room: string): Map<string, Digest> {
    return this.#senders.all(room)
  }

  /** SenderRows.receipt */
  receipt(manifest: Manifest, participant: string): Receipt | null {
    return this.#senders.receipt(manifest, participant)
  }

  /** Of this very update, in whatever round: an answer may have been lost just as a round closed. */
  receiptFor(manifest: Manifest, participant: string, digest: Digest): Receipt | null {
    return this.#senders.receiptFor(manifest, participant, digest)
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
      if (this.#rooms.isClosed(room)) throw new ProtocolError('room/closed')
      const known = this.#contributions.find(room, update.digest)
      const start =
        isStepped(mode) && known === undefined ? this.#publications.startVersion(room, update.start) : null
      const round = isStepped(mode) ? this.#rounds.forUpdate(room, mode, start) : 1
      const contribution = known ?? this.#contributions.add(manifest, update, round, acceptedAt)
      this.#senders.add(room, participant, round, contribution)
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

  /** ContributionRows.approve */
  approve(...of: Parameters<ContributionRows['approve']>): void {
    this.#contributions.approve(...of)
  }

  /** Withdrawals.byParticipant */
  withdraw(...of: Parameters<Withdrawals['byParticipant']>): Withdrawal {
    return this.#withdrawals.byParticipant(...of)
  }

  /** Withdrawals.byHost */
  remove(...of: Parameters<Withdrawals['byHost']>): Withdrawal {
    return this.#withdrawals.byHost(...of)
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
    return this.#contributions.find(room, digest) !== undefined
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
      if (isLast) this.#rooms.close(room, at)
      else this.#rounds.open(room, round + 1, at)
      return true
    })
  }
}
