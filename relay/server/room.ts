/**
 * One room while the relay runs: what a joined participant may ask of it. Knows nothing of sockets; each method is
 * one message of the protocol, and throws ProtocolError with the code to answer.
 */
import type { Logger } from 'pino'
import { gaussianSigma } from '../aggregation/gaussian.ts'
import { AUDIT_START } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import type { CandidateView, Measured, Overview, Preview } from '../protocol/host.ts'
import { MAX_PARTICIPANTS_IN_OVERVIEW, MAX_VERSIONS_IN_JOIN } from '../protocol/limits.ts'
import { isStepped } from '../protocol/manifest.ts'
import type {
  Accepted,
  Begin,
  Chunk,
  Commit,
  Join,
  Progress,
  Receipt,
  RoomStatus,
  Version,
  Withdraw,
} from '../protocol/messages.ts'
import { privacyFigures } from '../protocol/privacy.ts'
import type { PublishedVersion, Withdrawal } from '../store/ledger.ts'
import type { RoomStore } from '../store/room-store.ts'
import { equalInConstantTime, type ParticipantTokens } from './identity.ts'
import type { JobThread } from './job-thread.ts'
import { Publisher } from './publisher.ts'
import { Rounds } from './rounds.ts'
import { SerialQueue } from './serial-queue.ts'

/** Between two announcements of a room's status. */
const STATUS_PAUSE_MS = 200

/** setTimeout takes 31 bits; longer waits fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

export interface RoomListener {
  status(status: RoomStatus): void
  published(version: Version): void
  retired(version: number): void
  /** A version waits for the host's measurement; its files lie in the folder. */
  candidate?(candidate: CandidateView, folder: string): void
  /** To the participant alone. */
  withdrawn(participant: string, withdrawal: { digest: Digest; by: 'participant' | 'host' }): void
}

/** What a client is told of a version: not which updates are in it. */
const announced = ({ updates: _, ...version }: PublishedVersion): Version => version

/** An offset tells the client where to continue. */
export class OffsetError extends ProtocolError {
  readonly offset: number
  constructor(code: 'upload/offset' | 'upload/incomplete', offset: number) {
    super(code)
    this.offset = offset
  }
}

export interface RoomOptions {
  readonly store: RoomStore
  readonly closed: boolean
  readonly tokens: ParticipantTokens
  readonly inspecting: JobThread
  readonly merging: JobThread
  /** Where the room's start file lies, if it has one. */
  readonly startPath: string | null
  readonly listener: RoomListener
  readonly log: Logger
}

export class Room {
  readonly store: RoomStore
  readonly #tokens: ParticipantTokens
  readonly #inspecting: JobThread
  readonly #publisher: Publisher
  readonly #listener: RoomListener
  readonly #log: Logger
  /** Each participant's messages one after the other, also when they come over two sockets. */
  readonly #messages = new SerialQueue<string>()
  /** Updates are accepted one at a time: each is in memory while it is checked. */
  readonly #acceptance = new SerialQueue<'accept'>()
  /** The example count of the upload that is open; in the file it must be the same. */
  readonly #announcedExamples = new Map<string, number>()
  /** With what each last said of its progress. */
  readonly #connected = new Map<string, Progress | null>()
  #expiry: NodeJS.Timeout | undefined
  #closed: boolean
  #statusPause: NodeJS.Timeout | undefined
  #statusChanged = false
  #settled = false
  /** Of a private room's noise. */
  readonly #sigma: number
  /** Of a room that has several. */
  readonly #rounds: Rounds | undefined

  constructor(options: RoomOptions) {
    this.store = options.store
    this.#closed = options.closed
    this.#tokens = options.tokens
    this.#inspecting = options.inspecting
    this.#listener = options.listener
    const { privacy } = options.store.manifest
    this.#sigma = privacy ? gaussianSigma(privacy) : 0
    this.#log = options.log.child({ room: options.store.room })
    this.#publisher = new Publisher({
      store: options.store,
      thread: options.merging,
      startPath: options.startPath,
      isClosed: () => this.#closed,
      onPublished: (version) => {
        this.#log.info(
          { version: version.version, contributions: version.contributions },
          'version published',
        )
        this.#flushLog()
        this.#listener.published(announced(version))
        this.announceStatus()
      },
      onCandidate: (candidate) => {
        this.#log.info(
          { contributions: candidate.contributions },
          'a version waits for the host to measure it',
        )
        this.#listener.candidate?.(candidate, this.store.candidatePath(''))
        this.announceStatus()
      },
    })
    const { mode } = options.store.manifest
    if (isStepped(mode)) {
      this.#rounds = new Rounds({
        store: options.store,
        mode,
        isSomebodyThere: () => this.#connected.size > 0,
        onClosed: (isLast) => this.#roundClosed(isLast),
      })
    }
    this.#expireInTime()
  }

  #checkRounds(): void {
    if (!this.#closed) this.#rounds?.check()
  }

  #roundClosed(isLast: boolean): void {
    this.#flushLog()
    this.#publishInBackground()
    if (isLast && !this.#closed) {
      this.#closed = true
      this.#hasClosed()
    } else this.announceStatus()
  }

  get closed(): boolean {
    return this.#closed
  }

  status(): RoomStatus {
    const newest = this.store.versions().at(-1)
    const contributions = this.store.contributions()
    const undecided = this.store.undecided()
    const { privacy } = this.store.manifest
    const candidate = this.#publisher.candidate()
    const published = this.#rounds
      ? this.store.updates().filter(({ round }) => round <= (newest?.version ?? 0)).length
      : newest && !newest.retired
        ? newest.contributions
        : 0
    return {
      connected: this.#connected.size,
      contributions,
      waiting: contributions - undecided - published,
      versions: newest?.version ?? 0,
      ...(this.store.manifest.admission === 'approve' ? { undecided } : {}),
      joinable: this.#refusesNew() === null,
      closed: this.#closed,
      ...(privacy && {
        privacy: privacyFigures({ ...this.store.manifest, privacy }, this.#sigma, contributions),
      }),
      ...(candidate && { candidate: candidate.state }),
      ...(this.#rounds && { round: this.#rounds.status() }),
    }
  }

  /** All that the host sees of the room. */
  overview(): Overview {
    const { manifest, manifestDigest } = this.store
    const senders = this.store.senders()
    const participants = new Set([...this.#connected.keys(), ...senders.keys()])
    const place = this.store.audit.place()
    return {
      room: manifest.room,
      title: manifest.title,
      manifestDigest,
      status: this.status(),
      joinCode: this.store.joinCode(),
      participants: [...participants].slice(0, MAX_PARTICIPANTS_IN_OVERVIEW).map((participant) => ({
        participant,
        connected: this.#connected.has(participant),
        progress: this.#connected.get(participant) ?? null,
        digest: senders.get(participant) ?? null,
      })),
      contributions: this.store.updates().map(({ approved, round, ...update }) => ({
        ...update,
        state: approved ? ('counts' as const) : ('undecided' as const),
        ...(this.#rounds && { round }),
      })),
      versions: this.store.versions().map(announced),
      candidate: this.#publisher.candidate(),
      audit: { lines: place?.sequence ?? 0, hash: place?.hash ?? AUDIT_START },
    }
  }

  /** Repairs and publishes what an earlier run left undone. Throws ProtocolError `store/version-differs`. */
  async recover(): Promise<void> {
    await this.#publisher.restoreDamaged()
    this.#checkRounds()
    this.#publishInBackground()
  }

  /** Merges the newest version anew and says in the log if it is not what was published. */
  async audit(): Promise<void> {
    if (!(await this.#publisher.newestFollowsFromUpdates())) {
      this.#log.error(
        { code: 'store/version-differs' },
        'the newest version does not follow from the updates',
      )
    }
  }

  /** A closed room takes back those who were in it (their receipt, the result), and nobody new. */
  join({ resume, code }: Join): Accepted<'join'> {
    if (resume && !this.#tokens.isValid(this.store.room, resume)) throw new ProtocolError('join/token')
    if (!resume) this.#admit(code)
    const { participant, token } = resume ?? this.#tokens.create(this.store.room)
    if (!this.#connected.has(participant)) this.#connected.set(participant, null)
    this.#checkRounds()
    return {
      ok: true,
      participant,
      token,
      manifest: this.store.manifest,
      manifestDigest: this.store.manifestDigest,
      status: this.status(),
      versions: this.store.versions().slice(-MAX_VERSIONS_IN_JOIN).map(announced),
      upload: this.store.openUpload(participant),
      receipt: this.store.receipt(participant),
    }
  }

  progress(participant: string, progress: Progress): Accepted<'progress'> {
    if (this.#connected.has(participant)) this.#connected.set(participant, progress)
    return { ok: true }
  }

  leave(participant: string): void {
    if (this.#connected.delete(participant)) this.announceStatus()
  }

  /** At once, and then again only after a pause: when a class joins, everyone would hear of everyone. */
  announceStatus(): void {
    if (this.#settled) return
    if (this.#statusPause) {
      this.#statusChanged = true
      return
    }
    this.#listener.status(this.status())
    this.#statusPause = setTimeout(() => {
      this.#statusPause = undefined
      if (!this.#statusChanged) return
      this.#statusChanged = false
      this.announceStatus()
    }, STATUS_PAUSE_MS).unref()
  }

  begin(participant: string, { digest, bytes, examples }: Begin): Promise<Accepted<'begin'>> {
    return this.#messages.run(participant, async () => {
      const { limits } = this.store.manifest
      const receipt = this.#earlierReceipt(participant, digest)
      if (receipt) return { ok: true, offset: receipt.bytes, receipt }
      this.#requireOpen()
      if (bytes > limits.updateBytes) throw new ProtocolError('upload/too-large')
      if (examples !== undefined && examples > limits.examples) throw new ProtocolError('update/examples')
      const known = await this.store.acceptKnown(participant, digest)
      if (known) return { ok: true, offset: known.bytes, receipt: known }
      if (this.store.contributions() >= limits.contributions) throw new ProtocolError('room/full')
      const isIdle = (other: string) => !this.#connected.has(other)
      this.#inspecting.start()
      const { offset } = await this.store.begin(participant, digest, bytes, isIdle)
      if (examples === undefined) this.#announcedExamples.delete(participant)
      else this.#announcedExamples.set(participant, examples)
      return { ok: true, offset, receipt: null }
    })
  }

  chunk(participant: string, { offset, data }: Chunk): Promise<Accepted<'chunk'>> {
    return this.#messages.run(participant, async () => {
      const upload = this.store.openUpload(participant)
      if (!upload) throw new ProtocolError('upload/not-begun')
      const { chunkBytes } = this.store.manifest.limits
      if (data.byteLength === 0 || data.byteLength > chunkBytes) throw new ProtocolError('upload/chunk')
      if (offset !== upload.offset) throw new OffsetError('upload/offset', upload.offset)
      if (offset + data.byteLength > upload.bytes) throw new ProtocolError('upload/too-large')
      return { ok: true, offset: await this.store.append(participant, data) }
    })
  }

  commit(participant: string, { digest }: Commit): Promise<Accepted<'commit'>> {
    return this.#messages.run(participant, async () => {
      const earlier = this.#earlierReceipt(participant, digest)
      if (earlier) return { ok: true, receipt: earlier }
      this.#requireOpen()
      const upload = this.store.openUpload(participant)
      if (upload?.digest !== digest) throw new ProtocolError('upload/not-begun')
      if (upload.offset !== upload.bytes) throw new OffsetError('upload/incomplete', upload.offset)
      const receipt = await this.#acceptance
        .run('accept', () => this.#accept(participant))
        .finally(() => this.#flushLog())
      this.#announcedExamples.delete(participant)
      this.#log.info({ contribution: receipt.contribution, bytes: receipt.bytes }, 'update accepted')
      this.#checkRounds()
      this.announceStatus()
      this.#publishInBackground()
      return { ok: true, receipt }
    })
  }

  /** The participant's own contribution is gone as if never sent; a version without it follows. */
  withdraw(participant: string, { digest }: Withdraw): Promise<Accepted<'withdraw'>> {
    return this.#messages.run(participant, async () => {
      const withdrawal = await this.#takeOut('participant', () => this.store.withdraw(participant, digest))
      return { ok: true, digest, erased: withdrawal.erased, retired: [...withdrawal.retired] }
    })
  }

  /** The same by the host, for whoever sent it. Throws ProtocolError `host/unknown-contribution`. */
  async remove(digest: Digest): Promise<Overview> {
    await this.#takeOut('host', () => this.store.remove(digest))
    return this.overview()
  }

  /** How a contribution stands beside those that count. Throws ProtocolError `host/unknown-contribution`. */
  async preview(digest: Digest): Promise<Preview> {
    const updates = this.store.updates()
    if (!updates.some((update) => update.digest === digest)) {
      throw new ProtocolError('host/unknown-contribution')
    }
    const others = updates.filter((update) => update.approved && update.digest !== digest)
    const paths = others.map((update) => this.store.updatePath(update.digest))
    const compared = await this.#inspecting.compare(this.store.manifest, this.store.updatePath(digest), paths)
    return { digest, ...compared }
  }

  /** Lets a waiting contribution count. Throws ProtocolError `host/unknown-contribution` or `host/not-waiting`. */
  approve(digest: Digest): Overview {
    this.store.approve(digest)
    this.#flushLog()
    this.announceStatus()
    this.#publishInBackground()
    return this.overview()
  }

  /** Publishes what waits for a full batch now. */
  async publishNow(): Promise<Overview> {
    if (this.store.manifest.privacy) throw new ProtocolError('host/at-close')
    if (!this.#closed) this.#rounds?.closeNow()
    await this.#publish({ all: true })
    return this.overview()
  }

  candidate(): CandidateView | null {
    return this.#publisher.candidate()
  }

  /** The host's measurement of the candidate: it is published, or held back and the host warned. */
  async judge(digest: Digest, measured: Measured): Promise<Overview> {
    if (!(await this.#publisher.judge(digest, measured))) {
      this.#log.warn({ ...measured }, 'the next version is worse than the base and is held back')
    }
    this.#flushLog()
    this.announceStatus()
    this.#publishInBackground()
    return this.overview()
  }

  /** Publishes the candidate although it was not measured, or held back. */
  async publishCandidate(digest: Digest): Promise<Overview> {
    await this.#publisher.publishCandidate(digest)
    this.#publishInBackground()
    return this.overview()
  }

  /** Nobody new may join; those inside may still send. */
  closeJoining(): Overview {
    this.store.closeJoining()
    this.#flushLog()
    this.announceStatus()
    return this.overview()
  }

  /** Null: anybody who knows the address may join. */
  setJoinCode(code: string | null): Overview {
    this.store.setJoinCode(code)
    return this.overview()
  }

  /** No more joins or updates; publishes what is waiting. Closing again only publishes what failed before. */
  async close(): Promise<RoomStatus> {
    if (!this.#closed) {
      // Updates being accepted at this moment still count; those after them find the room closed.
      await this.#acceptance.run('accept', async () => {
        this.store.close()
        this.#closed = true
      })
      this.#hasClosed()
    }
    await this.#publish({ all: true })
    return this.status()
  }

  #hasClosed(): void {
    clearTimeout(this.#expiry)
    this.#rounds?.stop()
    this.#log.info('room closed')
    this.#flushLog()
    this.announceStatus()
  }

  /** Resolves when the messages being handled are answered. */
  answered(): Promise<void> {
    return this.#messages.idle()
  }

  /** Resolves when nothing of this room reads or writes the store any more. */
  async settled(): Promise<void> {
    clearTimeout(this.#expiry)
    this.#rounds?.stop()
    await Promise.all([this.#messages.idle(), this.#acceptance.idle(), this.#publisher.idle()])
    this.#settled = true
    clearTimeout(this.#statusPause)
    await this.store.audit.flush()
  }

  /** Why nobody new may join, or null. */
  #refusesNew(): ErrorCode | null {
    if (this.#expired()) return 'room/expired'
    if (this.#closed) return 'room/closed'
    return this.store.joiningClosed() ? 'room/joining-closed' : null
  }

  /** Throws ProtocolError `room/…` or `join/code`. */
  #admit(code: string | undefined): void {
    const refusal = this.#refusesNew()
    if (refusal !== null) throw new ProtocolError(refusal)
    const expected = this.store.joinCode()
    const spelling = (text: string) => text.toUpperCase().replaceAll('-', '')
    if (expected !== null && !equalInConstantTime(spelling(code ?? ''), spelling(expected))) {
      throw new ProtocolError('join/code')
    }
  }

  #requireOpen(): void {
    if (this.#expired()) throw new ProtocolError('room/expired')
    if (this.#closed) throw new ProtocolError('room/closed')
  }

  #expired(): boolean {
    const { expiresAt } = this.store.manifest
    return expiresAt !== undefined && this.store.now().getTime() >= Date.parse(expiresAt)
  }

  /** Closes the room when its time is over; a timer cannot wait longer than MAX_TIMER_MS. */
  #expireInTime(): void {
    const { expiresAt } = this.store.manifest
    if (expiresAt === undefined || this.#closed) return
    const leftMs = Math.max(0, Date.parse(expiresAt) - this.store.now().getTime())
    this.#expiry = setTimeout(
      () => {
        if (!this.#expired()) return this.#expireInTime()
        this.close().catch((error: unknown) => this.#log.error({ err: error }, 'closing failed'))
      },
      Math.min(leftMs, MAX_TIMER_MS),
    ).unref()
  }

  async #takeOut(by: 'participant' | 'host', change: () => Promise<Withdrawal>): Promise<Withdrawal> {
    const withdrawal = await this.#acceptance.run('accept', change)
    this.#log.info({ retired: withdrawal.retired.length, by }, 'contribution withdrawn')
    this.#flushLog()
    for (const version of withdrawal.retired) this.#listener.retired(version)
    for (const participant of withdrawal.participants) {
      this.#listener.withdrawn(participant, { digest: withdrawal.digest, by })
    }
    this.announceStatus()
    this.#publishInBackground()
    return withdrawal
  }

  async #publish(options: { all: boolean }): Promise<void> {
    try {
      await this.#publisher.publishDue(options)
    } catch (error) {
      this.#log.error({ err: error }, 'publishing failed')
      throw new ProtocolError('relay/merge-failed', undefined, { cause: error })
    }
  }

  /** The ledger has these lines already; the file follows. */
  #flushLog(): void {
    this.store.audit.flush().catch((error: unknown) => {
      if (error instanceof ProtocolError && error.code === 'relay/stopping') return
      this.#log.error({ err: error }, 'the audit log file could not be written; the ledger has its lines')
    })
  }

  #accept(participant: string): Promise<Receipt> {
    const announced = this.#announcedExamples.get(participant)
    return this.store.accept(participant, async (expectedDigest, bytes) => {
      const found = await this.#inspecting.inspect(this.store.manifest, expectedDigest, bytes)
      if (announced !== undefined && announced !== found.examples) throw new ProtocolError('update/examples')
      return found
    })
  }

  #earlierReceipt(participant: string, digest: Digest): Receipt | null {
    const same = this.store.receiptFor(participant, digest)
    if (same) return same
    const receipt = this.store.receipt(participant)
    if (receipt) throw new ProtocolError('upload/second')
    return null
  }

  #publishInBackground(): void {
    this.#publisher.publishDue().catch((error: unknown) => {
      if (error instanceof ProtocolError && error.code === 'relay/stopping') return
      this.#log.error({ err: error, code: 'relay/merge-failed' }, 'publishing failed; the updates are safe')
    })
  }
}
