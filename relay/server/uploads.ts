/**
 * How an update comes into a room: begun, sent in chunks at exactly the offset that is next, and committed, which has
 * it inspected and answers with a receipt. Whatever was lost on the way may be said again.
 */
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Accepted, Begin, Chunk, Commit, Receipt } from '../protocol/messages.ts'
import type { RoomStore } from '../store/room-store.ts'
import type { JobThread } from './job-thread.ts'
import type { Lifetime } from './lifetime.ts'
import type { SerialQueue } from './serial-queue.ts'

/** An offset tells the client where to continue. */
export class OffsetError extends ProtocolError {
  readonly offset: number
  constructor(code: 'upload/offset' | 'upload/incomplete', offset: number) {
    super(code)
    this.offset = offset
  }
}

export interface UploadsOptions {
  readonly store: RoomStore
  readonly inspecting: JobThread
  readonly lifetime: Lifetime
  /** Each participant's messages one after the other, also when they come over two sockets. */
  readonly messages: SerialQueue<string>
  /** Updates are accepted one at a time: each is in memory while it is checked. */
  readonly acceptance: SerialQueue<'accept'>
  readonly isConnected: (participant: string) => boolean
  /** The audit log may have a new line: an update accepted, or refused. */
  readonly onLogged: () => void
  readonly onAccepted: (receipt: Receipt) => void
}

export class Uploads {
  readonly #options: UploadsOptions
  /** The example count of the upload that is open; in the file it must be the same. */
  readonly #announcedExamples = new Map<string, number>()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  begin(participant: string, { digest, bytes, examples }: Begin): Promise<Accepted<'begin'>> {
    const { store, inspecting, lifetime, messages, isConnected } = this.#options
    return messages.run(participant, async () => {
      const { limits } = store.manifest
      const receipt = this.#earlierReceipt(participant, digest)
      if (receipt) return { ok: true, offset: receipt.bytes, receipt }
      lifetime.requireOpen()
      if (bytes > limits.updateBytes) throw new ProtocolError('upload/too-large')
      if (examples !== undefined && examples > limits.examples) throw new ProtocolError('update/examples')
      const known = await store.acceptKnown(participant, digest)
      if (known) return { ok: true, offset: known.bytes, receipt: known }
      if (store.contributions() >= limits.contributions) throw new ProtocolError('room/full')
      inspecting.start()
      const { offset } = await store.begin(participant, digest, bytes, (other) => !isConnected(other))
      if (examples === undefined) this.#announcedExamples.delete(participant)
      else this.#announcedExamples.set(participant, examples)
      return { ok: true, offset, receipt: null }
    })
  }

  chunk(participant: string, { offset, data }: Chunk): Promise<Accepted<'chunk'>> {
    const { store, lifetime, messages } = this.#options
    return messages.run(participant, async () => {
      lifetime.requireThere()
      const upload = store.openUpload(participant)
      if (!upload) throw new ProtocolError('upload/not-begun')
      const { chunkBytes } = store.manifest.limits
      if (data.byteLength === 0 || data.byteLength > chunkBytes) throw new ProtocolError('upload/chunk')
      if (offset !== upload.offset) throw new OffsetError('upload/offset', upload.offset)
      if (offset + data.byteLength > upload.bytes) throw new ProtocolError('upload/too-large')
      return { ok: true, offset: await store.append(participant, data) }
    })
  }

  commit(participant: string, { digest }: Commit): Promise<Accepted<'commit'>> {
    const { store, lifetime, messages, acceptance, onLogged, onAccepted } = this.#options
    return messages.run(participant, async () => {
      const earlier = this.#earlierReceipt(participant, digest)
      if (earlier) return { ok: true, receipt: earlier }
      lifetime.requireOpen()
      const upload = store.openUpload(participant)
      if (upload?.digest !== digest) throw new ProtocolError('upload/not-begun')
      if (upload.offset !== upload.bytes) throw new OffsetError('upload/incomplete', upload.offset)
      const receipt = await acceptance.run('accept', () => this.#accept(participant)).finally(onLogged)
      this.#announcedExamples.delete(participant)
      onAccepted(receipt)
      return { ok: true, receipt }
    })
  }

  async #accept(participant: string): Promise<Receipt> {
    const { store, inspecting, lifetime } = this.#options
    lifetime.requireThere()
    const announced = this.#announcedExamples.get(participant)
    return store.accept(participant, async (expectedDigest, bytes) => {
      const found = await inspecting.inspect(store.manifest, expectedDigest, bytes)
      if (announced !== undefined && announced !== found.examples) throw new ProtocolError('update/examples')
      return found
    })
  }

  #earlierReceipt(participant: string, digest: Digest): Receipt | null {
    const { store } = this.#options
    const same = store.receiptFor(participant, digest)
    if (same) return same
    const receipt = store.receipt(participant)
    if (receipt) throw new ProtocolError('upload/second')
    return null
  }
}
