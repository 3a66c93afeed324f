/**
 * Turns accepted updates into published versions, in batches: a version that differs from the one before by one
 * contribution would show that contribution to everyone. Works from what is stored, so a relay that was killed
 * between accepting and publishing publishes at its next start.
 */
import type { Version } from '../protocol/messages.ts'
import type { RoomStore } from '../store/room-store.ts'
import type { JobThread } from './job-thread.ts'
import { SerialQueue } from './serial-queue.ts'

/**
 * How many contributions the next version covers (the first so many accepted), or null if none is due: full batches
 * while the room is open, everything once it is closed.
 */
export function contributionsDue(room: {
  accepted: number
  published: number
  publishEvery: number
  closed: boolean
}): number | null {
  const { accepted, published, publishEvery, closed } = room
  const due = closed ? accepted : accepted - (accepted % publishEvery)
  return due > published ? due : null
}

export class Publisher {
  readonly #store: RoomStore
  readonly #thread: JobThread
  readonly #startPath: string | null
  readonly #isClosed: () => boolean
  readonly #onPublished: (version: Version) => void
  readonly #calls = new SerialQueue<'publish'>()

  constructor(
    store: RoomStore,
    thread: JobThread,
    startPath: string | null,
    isClosed: () => boolean,
    onPublished: (version: Version) => void,
  ) {
    this.#store = store
    this.#thread = thread
    this.#startPath = startPath
    this.#isClosed = isClosed
    this.#onPublished = onPublished
  }

  /** Publishes what is due at the time of the call; calls run one after the other. Throws what merging throws. */
  publishDue(): Promise<void> {
    return this.#calls.run('publish', () => this.#publishAll())
  }

  /** Puts back versions whose files were damaged. Throws ProtocolError `store/version-differs`. */
  async restoreDamaged(): Promise<void> {
    for (const version of [...this.#store.damagedVersions()]) {
      const updates = this.#store.updates().slice(0, version.contributions)
      const merged = await this.#merge(updates)
      const digests = updates.map(({ digest }) => digest)
      await this.#store.restoreVersion(version, digests, merged.files)
    }
  }

  /** Merges the newest version again. False if the stored updates no longer give what was published. */
  async newestFollowsFromUpdates(): Promise<boolean> {
    const newest = this.#store.versions().at(-1)
    if (!newest) return true
    const { digest } = await this.#merge(this.#store.updates().slice(0, newest.contributions))
    return digest === newest.digest
  }

  /** Resolves when nothing is being published. */
  idle(): Promise<void> {
    return this.#calls.idle()
  }

  async #publishAll(): Promise<void> {
    for (;;) {
      const accepted = this.#store.updates()
      const newest = this.#store.versions().at(-1)
      const due = contributionsDue({
        accepted: accepted.length,
        published: newest?.contributions ?? 0,
        publishEvery: this.#store.manifest.publishEvery,
        closed: this.#isClosed(),
      })
      if (due === null) return
      const updates = accepted.slice(0, due)
      const { digest, files } = await this.#merge(updates)
      const version = { version: (newest?.version ?? 0) + 1, digest, contributions: due }
      const digests = updates.map((update) => update.digest)
      this.#onPublished(await this.#store.addVersion(version, digests, files))
    }
  }

  #merge(updates: ReturnType<RoomStore['updates']>) {
    const files = updates.map(({ digest }) => ({ digest, path: this.#store.updatePath(digest) }))
    return this.#thread.merge(this.#store.manifest, files, this.#startPath)
  }
}
