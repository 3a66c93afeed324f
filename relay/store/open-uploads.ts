/**
 * Uploads that are not complete, one a participant: `open/PARTICIPANT.DIGEST.BYTES`, a file whose size is the next
 * offset. They are not synced: what a cut of the power takes is sent again.
 */
import { join } from 'node:path'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { MAX_OPEN_UPLOADS, OPEN_UPLOAD_LIFETIME_MS } from '../protocol/limits.ts'
import type { FileSystem } from './file-system.ts'

export interface OpenUpload {
  readonly digest: Digest
  /** Announced. */
  readonly bytes: number
  /** Received so far, and the only offset a chunk may have. */
  readonly offset: number
}

interface Entry {
  readonly digest: Digest
  readonly bytes: number
  readonly path: string
  offset: number
  lastChunkMs: number
}

const NAME = /^([0-9a-f]{32})\.([0-9a-f]{64})\.([0-9]{1,12})$/

export class OpenUploads {
  readonly #folder: string
  readonly #files: FileSystem
  readonly #now: () => Date
  readonly #open = new Map<string, Entry>()

  constructor(folder: string, files: FileSystem, now: () => Date) {
    this.#folder = folder
    this.#files = files
    this.#now = now
  }

  of(participant: string): OpenUpload | null {
    const entry = this.#open.get(participant)
    return entry ? { digest: entry.digest, bytes: entry.bytes, offset: entry.offset } : null
  }

  /** Throws ProtocolError `upload/not-begun`. */
  entry(participant: string): Pick<Entry, 'digest' | 'bytes' | 'path'> {
    return this.#entry(participant)
  }

  /**
   * Starts or continues an upload. An earlier one of other bytes is dropped. `mayEvict` says whose idle upload
   * may go when too many are open. Throws ProtocolError `upload/too-many` or, beyond the quota, `store/full`.
   */
  async begin(
    participant: string,
    digest: Digest,
    bytes: number,
    mayEvict: (participant: string) => boolean,
  ): Promise<OpenUpload> {
    const earlier = this.#open.get(participant)
    if (earlier && (earlier.digest !== digest || earlier.bytes !== bytes)) await this.drop(participant)
    if (!this.#open.has(participant)) {
      if (this.#open.size >= MAX_OPEN_UPLOADS) await this.#evictIdle(mayEvict)
      const path = join(this.#folder, `${participant}.${digest}.${bytes}`)
      this.#files.reserve?.(path, bytes)
      await this.#files.write(path, new Uint8Array(0))
      this.#open.set(participant, { digest, bytes, path, offset: 0, lastChunkMs: this.#now().getTime() })
    }
    return this.of(participant)!
  }

  /** Adds the next bytes; the caller has checked offset and length. Returns the next offset. */
  async append(participant: string, data: Uint8Array): Promise<number> {
    const entry = this.#entry(participant)
    try {
      await this.#files.append(entry.path, data)
      entry.offset += data.byteLength
    } catch (error) {
      // A full disk may have taken half of it: go back to what was acknowledged.
      await this.#files.truncate(entry.path, entry.offset)
      throw error
    }
    entry.lastChunkMs = this.#now().getTime()
    return entry.offset
  }

  /** Removes it, if there is one. */
  async drop(participant: string): Promise<void> {
    const entry = this.#open.get(participant)
    if (!entry) return
    this.#open.delete(participant)
    await this.#files.remove(entry.path)
  }

  /** Its file has become something else. */
  forget(participant: string): void {
    this.#open.delete(participant)
  }

  /** Finds those of an earlier run; removes what is too old, too long, or `isDone`: its participant has a receipt. */
  async recover(isDone: (participant: string) => boolean): Promise<void> {
    const oldestMs = this.#now().getTime() - OPEN_UPLOAD_LIFETIME_MS
    for (const name of await this.#files.list(this.#folder)) {
      const path = join(this.#folder, name)
      const [, participant, digest, announced] = NAME.exec(name) ?? []
      const found = await this.#files.stat(path)
      if (
        participant === undefined ||
        found === null ||
        found.bytes > Number(announced) ||
        found.modifiedMs < oldestMs ||
        this.#open.has(participant) ||
        isDone(participant)
      ) {
        await this.#files.remove(path)
        continue
      }
      this.#open.set(participant, {
        digest: digest as Digest,
        bytes: Number(announced),
        path,
        offset: found.bytes,
        lastChunkMs: found.modifiedMs,
      })
    }
  }

  #entry(participant: string): Entry {
    const entry = this.#open.get(participant)
    if (!entry) throw new ProtocolError('upload/not-begun')
    return entry
  }

  async #evictIdle(mayEvict: (participant: string) => boolean): Promise<void> {
    const idle = [...this.#open]
      .filter(([participant]) => mayEvict(participant))
      .sort(([, a], [, b]) => a.lastChunkMs - b.lastChunkMs)[0]
    if (!idle) throw new ProtocolError('upload/too-many')
    await this.drop(idle[0])
  }
}
