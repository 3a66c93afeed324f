/**
 * One room while the relay runs: what a joined participant may ask of it. Knows nothing of sockets; each method is
 * one message of the protocol, and throws ProtocolError with the code to answer.
 */
import { setMaxListeners } from 'node:events'
import type { Logger } from 'pino'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { CandidateView, Measured, Overview, Preview } from '../protocol/host.ts'
import { MAX_VERSIONS_IN_JOIN } from '../protocol/limits.ts'
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
import type { Withdrawal } from '../store/ledger-types.ts'
import type { RoomStore } from '../store/room-store.ts'
import { Announcer } from './announcer.ts'
import type { ParticipantTokens } from './identity.ts'
import type { JobThread } from './job-thread.ts'
import { Lifetime } from './lifetime.ts'
import { Publisher } from './publisher.ts'
import { announced, RoomView } from './room-view.ts'
import { Rounds } from './rounds.ts'
import { SerialQueue } from './serial-queue.ts'
import { Uploads } from './uploads.ts'

export interface RoomListener {
  status(status: RoomStatus): void
  published(version: Version): void
  retired(version: number): void
  /** A version waits for the host's measurement; its files lie in the folder. */
  candidate?(candidate: CandidateView, folder: string): void
  /** To the participant alone. */
  withdrawn(participant: string, withdrawal: { digest: Digest; by: 'participant' | 'host' }): void
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
  /** By participant; withdrawals wait in it for their turn as uploads do. */
  readonly #messages = new SerialQueue<string>()
  /** Accepting, withdrawing and closing, one at a time. */
  readonly #acceptance = new SerialQueue<'accept'>()
  /** With what each last said of its progress. */
  readonly #connected = new Map<string, Progress | null>()
  readonly #lifetime: Lifetime
  readonly #uploads: Uploads
  /** Of a room that has several. */
  readonly #rounds: Rounds | undefined
  readonly #view: RoomView
  readonly #announcer = new Announcer(() => this.#listener.status(this.status()))
  readonly #gone = new AbortController()

  constructor(options: RoomOptions) {
    this.store = options.store
    // Each download that is under way waits for it.
    setMaxListeners(0, this.#gone.signal)
    this.#lifetime = new Lifetime(options.store, options.closed)
    this.#tokens = options.tokens
    this.#inspecting = options.inspecting
    this.#listener = options.listener
    this.#log = options.log.child({ room: options.store.room })
    this.#publisher = new Publisher({
      store: options.store,
      thread: options.merging,
      startPath: options.startPath,
      isClosed: () => this.#lifetime.closed,
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
        this.#listener.candidate?.(candidate, this.store.candidate.path)
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
    this.#view = new RoomView({
      store: options.store,
      lifetime: this.#lifetime,
      rounds: this.#rounds,
      connected: this.#connected,
      candidate: () => this.#publisher.candidate(),
    })
    this.#uploads = new Uploads({
      store: options.store,
      inspecting: options.inspecting,
      lifetime: this.#lifetime,
      messages: this.#messages,
      acceptance: this.#acceptance,
      isConnected: (participant) => this.#connected.has(participant),
      onLogged: () => this.#flushLog(),
      onAccepted: (receipt) => this.#accepted(receipt),
    })
    this.#lifetime.onExpiry(() => {
      this.close().catch((error: unknown) => this.#log.error({ err: error }, 'closing failed'))
    })
  }

  #checkRounds(): void {
    if (!this.#lifetime.closed) this.#rounds?.check()
  }

  #roundClosed(isLast: boolean): void {
    this.#flushLog()
    this.#publishInBackground()
    if (isLast && !this.#lifetime.closed) {
      this.#lifetime.end()
      this.#hasClosed()
    } else this.announceStatus()
  }

  get closed(): boolean {
    return this.#lifetime.closed
  }

  /** Aborted when the room is deleted: what is being downloaded of it ends. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  status(): RoomStatus {
    return this.#view.status()
  }

  /** All that the host sees of the room. */
  overview(): Overview {
    return this.#view.overview()
  }

  /** Repairs and publishes what an earlier run left undone. Throws ProtocolError `store/version-differs`. */
  async recover(): Promise<void> {
    await this.#publisher.restoreDamaged()
    this.#checkRounds()
    this.#publishInBackground()
  }

  /** Merges the newest version anew and says in the log if it is not what was published. */
  async audit(): Promise<void> {
    if (!(await this.#publisher.newestFollowsFromUpdates()) && !this.#lifetime.deleted) {
      this.#log.error(
        { code: 'store/version-differs' },
        'the newest version does not follow from the updates',
      )
    }
  }

  /** A closed room takes back those who were in it (their receipt, the result), and nobody new. */
  join({ resume, code }: Join): Accepted<'join'> {
    if (resume && !this.#tokens.isValid(this.store.room, resume)) throw new ProtocolError('join/token')
    if (!resume) this.#lifetime.admit(code)
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

  announceStatus(): void {
    this.#announcer.changed()
  }

  begin(participant: string, message: Begin): Promise<Accepted<'begin'>> {
    return this.#uploads.begin(participant, message)
  }

  chunk(participant: string, message: Chunk): Promise<Accepted<'chunk'>> {
    return this.#uploads.chunk(participant, message)
  }

  commit(participant: string, message: Commit): Promise<Accepted<'commit'>> {
    return this.#uploads.commit(participant, message)
  }

  #accepted(receipt: Receipt): void {
    this.#log.info({ contribution: receipt.contribution, bytes: receipt.bytes }, 'update accepted')
    this.#checkRounds()
    this.announceStatus()
    this.#publishInBackground()
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
    if (!this.#lifetime.closed) this.#rounds?.closeNow()
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
    if (!this.#lifetime.closed) {
      // Updates being accepted at this moment still count; those after them find the room closed.
      await this.#acceptance.run('accept', async () => {
        this.#lifetime.requireThere()
        this.store.close()
        this.#lifetime.end()
      })
      this.#hasClosed()
    }
    await this.#publish({ all: true })
    return this.status()
  }

  /**
   * After what is being accepted and published at this moment: `commit` makes the room be gone, and nothing of it is
   * answered any more. Where it throws, the room is as it was. Throws ProtocolError `room/deleted`.
   */
  delete<T>(commit: () => T): Promise<T> {
    return this.#acceptance.run('accept', async () => {
      this.#lifetime.requireThere()
      const result = await this.#publisher.stop(commit)
      this.#lifetime.delete()
      this.#rounds?.stop()
      this.#announcer.stop()
      this.#gone.abort()
      return result
    })
  }

  #hasClosed(): void {
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
    this.#lifetime.stopClock()
    this.#rounds?.stop()
    await Promise.all([this.#messages.idle(), this.#acceptance.idle(), this.#publisher.idle()])
    this.#announcer.stop()
    await this.store.audit.flush()
  }

  async #takeOut(by: 'participant' | 'host', change: () => Promise<Withdrawal>): Promise<Withdrawal> {
    const withdrawal = await this.#acceptance.run('accept', () => {
      this.#lifetime.requireThere()
      return change()
    })
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
      this.#lifetime.requireThere()
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

  #publishInBackground(): void {
    this.#publisher.publishDue().catch((error: unknown) => {
      if (this.#lifetime.deleted || (error instanceof ProtocolError && error.code === 'relay/stopping'))
        return
      this.#log.error({ err: error, code: 'relay/merge-failed' }, 'publishing failed; the updates are safe')
    })
  }
}
