/**
 * One room while the relay runs: what a joined participant may ask of it. Knows nothing of sockets; each method is
 * one message of the protocol, and throws ProtocolError with the code to answer.
 */
import type { Logger } from 'pino'
import { ProtocolError } from '../protocol/errors.ts'
import { MAX_VERSIONS_IN_JOIN } from '../protocol/limits.ts'
import type {
  Accepted,
  Begin,
  Chunk,
  Commit,
  Join,
  Receipt,
  RoomStatus,
  Version,
} from '../protocol/messages.ts'
import type { RoomStore } from '../store/room-store.ts'
import type { ParticipantTokens } from './identity.ts'
import type { JobThread } from './job-thread.ts'
import { Publisher } from './publisher.ts'
import { SerialQueue } from './serial-queue.ts'

/** Between two announcements of a room's status. */
const STATUS_PAUSE_MS = 200

export interface RoomListener {
  status(status: RoomStatus): void
  published(version: Version): void
}

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
  readonly #connected = new Set<string>()
  #closed: boolean
  #statusPause: NodeJS.Timeout | undefined
  #statusChanged = false

  constructor(options: RoomOptions) {
    this.store = options.store
    this.#closed = options.closed
    this.#tokens = options.tokens
    this.#inspecting = options.inspecting
    this.#listener = options.listener
    this.#log = options.log.child({ room: options.store.room })
    this.#publisher = new Publisher(
      options.store,
      options.merging,
      options.startPath,
      () => this.#closed,
      (version) => {
        this.#log.info(
          { version: version.version, contributions: version.contributions },
          'version published',
        )
        this.#listener.published(version)
        this.announceStatus()
      },
    )
  }

  get closed(): boolean {
    return this.#closed
  }

  status(): RoomStatus {
    const versions = this.store.versions()
    const contributions = this.store.contributions()
    return {
      connected: this.#connected.size,
      contributions,
      waiting: contributions - (versions.at(-1)?.contributions ?? 0),
      versions: versions.length,
      closed: this.#closed,
    }
  }

  /** Repairs and publishes what an earlier run left undone. Throws ProtocolError `store/version-differs`. */
  async recover(): Promise<void> {
    await this.#publisher.restoreDamaged()
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
  join({ resume }: Join): Accepted<'join'> {
    if (resume && !this.#tokens.isValid(this.store.room, resume)) throw new ProtocolError('join/token')
    if (!resume && this.#closed) throw new ProtocolError('room/closed')
    const { participant, token } = resume ?? this.#tokens.create(this.store.room)
    this.#connected.add(participant)
    return {
      ok: true,
      participant,
      token,
      manifest: this.store.manifest,
      manifestDigest: this.store.manifestDigest,
      status: this.status(),
      versions: this.store.versions().slice(-MAX_VERSIONS_IN_JOIN),
      upload: this.store.openUpload(participant),
      receipt: this.store.receipt(participant),
    }
  }

  leave(participant: string): void {
    if (this.#connected.delete(participant)) this.announceStatus()
  }

  /** At once, and then again only after a pause: when a class joins, everyone would hear of everyone. */
  announceStatus(): void {
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
      if (this.#closed) throw new ProtocolError('room/closed')
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
      if (this.#closed) throw new ProtocolError('room/closed')
      const upload = this.store.openUpload(participant)
      if (upload?.digest !== digest) throw new ProtocolError('upload/not-begun')
      if (upload.offset !== upload.bytes) throw new OffsetError('upload/incomplete', upload.offset)
      const receipt = await this.#acceptance.run('accept', () => this.#accept(participant))
      this.#announcedExamples.delete(participant)
      this.#log.info({ contribution: receipt.contribution, bytes: receipt.bytes }, 'update accepted')
      this.announceStatus()
      this.#publishInBackground()
      return { ok: true, receipt }
    })
  }

  /** No more joins or updates; publishes what is waiting. Closing again only publishes what failed before. */
  async close(): Promise<RoomStatus> {
    if (!this.#closed) {
      // Updates being accepted at this moment still count; those after them find the room closed.
      await this.#acceptance.run('accept', async () => {
        this.store.close()
        this.#closed = true
      })
      this.#log.info('room closed')
      this.announceStatus()
    }
    try {
      await this.#publisher.publishDue()
    } catch (error) {
      this.#log.error({ err: error }, 'publishing failed')
      throw new ProtocolError('relay/merge-failed', undefined, { cause: error })
    }
    return this.status()
  }

  /** Resolves when the messages being handled are answered. */
  answered(): Promise<void> {
    return this.#messages.idle()
  }

  /** Resolves when nothing of this room reads or writes the store any more. */
  async settled(): Promise<void> {
    await Promise.all([this.#messages.idle(), this.#acceptance.idle(), this.#publisher.idle()])
  }

  #accept(participant: string): Promise<Receipt> {
    const announced = this.#announcedExamples.get(participant)
    return this.store.accept(participant, async (expectedDigest, bytes) => {
      const found = await this.#inspecting.inspect(this.store.manifest, expectedDigest, bytes)
      if (announced !== undefined && announced !== found.examples) throw new ProtocolError('update/examples')
      return found
    })
  }

  #earlierReceipt(participant: string, digest: string): Receipt | null {
    const receipt = this.store.receipt(participant)
    if (receipt && receipt.digest !== digest) throw new ProtocolError('upload/second')
    return receipt
  }

  #publishInBackground(): void {
    this.#publisher.publishDue().catch((error: unknown) => {
      if (error instanceof ProtocolError && error.code === 'relay/stopping') return
      this.#log.error({ err: error, code: 'relay/merge-failed' }, 'publishing failed; the updates are safe')
    })
  }
}
