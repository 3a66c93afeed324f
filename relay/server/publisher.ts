/**
 * Turns accepted updates into published versions, in batches: a version that differs from the one before by one
 * contribution would show that contribution to everyone. Works from what is stored, so a relay that was killed
 * between accepting and publishing publishes at its next start.
 */
import { CONTINUATION_FILE } from '../../models/adapters/continuation.ts'
import { gaussianSigma } from '../aggregation/gaussian.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { CandidateView, Measured } from '../protocol/host.ts'
import { isStepped, type Privacy } from '../protocol/manifest.ts'
import { privacyFigures } from '../protocol/privacy.ts'
import type { PublishedVersion } from '../store/ledger-types.ts'
import type { RoomStore } from '../store/room-store.ts'
import { Candidates } from './candidates.ts'
import type { JobThread } from './job-thread.ts'
import type { MergedVersion } from './jobs.ts'
import { SerialQueue } from './serial-queue.ts'

/**
 * The updates of the next version, or null if none is due. What was published stays, except what was withdrawn; to
 * it come full batches of those that wait (oldest first) while the room is open, and all of them once it is closed.
 * A withdrawal makes a version due at once, without the others.
 */
export function updatesDue(room: {
  /** That count, in the order they were accepted. */
  accepted: readonly Digest[]
  newest: { readonly updates: readonly Digest[]; readonly retired?: true } | undefined
  publishEvery: number
  /** The room is closed, or the host wants a version now. */
  all: boolean
}): Digest[] | null {
  const { accepted, newest, publishEvery, all } = room
  const before = new Set(newest?.updates)
  const kept = accepted.filter((update) => before.has(update))
  const waiting = accepted.filter((update) => !before.has(update))
  const batch = all ? waiting.length : waiting.length - (waiting.length % publishEvery)
  const due = [...kept, ...waiting.slice(0, batch)]
  const isNew = batch > 0 || newest?.retired === true
  return isNew && due.length > 0 ? due : null
}

export interface PublisherOptions {
  readonly store: RoomStore
  readonly thread: JobThread
  readonly startPath: string | null
  readonly isClosed: () => boolean
  readonly onPublished: (version: PublishedVersion) => void
  /** A version that waits for the host's measurement. */
  readonly onCandidate: (candidate: CandidateView) => void
}

export class Publisher {
  readonly #store: RoomStore
  readonly #thread: JobThread
  readonly #startPath: string | null
  readonly #isClosed: () => boolean
  readonly #onPublished: (version: PublishedVersion) => void
  readonly #onCandidate: (candidate: CandidateView) => void
  readonly #calls = new SerialQueue<'publish'>()
  /** Where the room has a gate. */
  readonly #candidates: Candidates | null
  #stopped = false

  constructor({ store, thread, startPath, isClosed, onPublished, onCandidate }: PublisherOptions) {
    this.#store = store
    this.#thread = thread
    this.#startPath = startPath
    this.#isClosed = isClosed
    this.#onPublished = onPublished
    this.#onCandidate = onCandidate
    const { gate } = store.manifest
    this.#candidates = gate ? new Candidates(store, gate.tolerance) : null
  }

  /**
   * Publishes what is due at the time of the call, with `all` also what would wait for more; calls run one after the
   * other. Throws what merging throws.
   */
  publishDue({ all = false } = {}): Promise<void> {
    return this.#run(() => this.#publishAll(all))
  }

  /** After what is being published: `last` runs, and nothing after it. */
  stop<T>(last: () => T): Promise<T> {
    return this.#run(async () => {
      const result = last()
      this.#stopped = true
      return result
    })
  }

  #run<T>(job: () => Promise<T>): Promise<T> {
    return this.#calls.run('publish', async () => {
      if (this.#stopped) throw new ProtocolError('room/deleted')
      return job()
    })
  }

  /** Puts back versions whose files were damaged. Throws ProtocolError `store/version-differs`. */
  async restoreDamaged(): Promise<void> {
    for (const version of [...this.#store.damagedVersions()]) {
      // Its noise is gone for good.
      if (this.#store.manifest.privacy) throw new ProtocolError('store/version-differs')
      const merged = await this.#merge(version.updates, { after: version.version - 1 })
      await this.#store.restoreVersion(version, merged.files)
    }
  }

  /** Merges the newest version again. False if the stored updates no longer give what was published. */
  async newestFollowsFromUpdates(): Promise<boolean> {
    const newest = this.#store.versions().at(-1)
    if (!newest || newest.retired || this.#store.manifest.privacy) return true
    const { digest } = await this.#merge(newest.updates, { after: newest.version - 1 })
    return digest === newest.digest
  }

  /** Resolves when nothing is being published. */
  idle(): Promise<void> {
    return this.#calls.idle()
  }

  async #publishAll(all: boolean): Promise<void> {
    const { manifest } = this.#store
    if (manifest.privacy) return this.#publishPrivately(manifest.privacy)
    if (isStepped(manifest.mode)) return this.#publishRounds()
    for (;;) {
      const newest = this.#store.versions().at(-1)
      const due = updatesDue({
        accepted: this.#counting(),
        newest: await this.#newestOrCandidate(),
        publishEvery: this.#store.manifest.publishEvery,
        all: all || this.#isClosed(),
      })
      if (due === null) return
      if (this.#candidates) {
        await this.#propose(this.#candidates, due)
        continue
      }
      const published = await this.#publish((newest?.version ?? 0) + 1, due)
      if (published) this.#onPublished(published)
    }
  }

  /** Null if one of the updates was withdrawn meanwhile: then there is another set to publish. */
  async #publish(version: number, updates: readonly Digest[]): Promise<PublishedVersion | null> {
    try {
      const { digest, files } = await this.#merge(updates)
      return await this.#store.addVersion({ version, digest }, updates, files)
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'relay/stopping') throw error
      const counting = new Set(this.#counting())
      if (updates.every((update) => counting.has(update))) throw error
      return null
    }
  }

  /** What the next version is compared with: a candidate that waits takes the place of the newest version. */
  async #newestOrCandidate(): Promise<Parameters<typeof updatesDue>[0]['newest']> {
    const updates = this.#candidates?.updates
    if (!updates) return this.#store.versions().at(-1)
    const counting = new Set(this.#counting())
    if (updates.every((update) => counting.has(update))) return { updates }
    await this.#candidates!.drop()
    return { updates, retired: true }
  }

  async #propose(candidates: Candidates, updates: readonly Digest[]): Promise<void> {
    try {
      await candidates.replace(await this.#merge(updates), updates)
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'relay/stopping') throw error
      const counting = new Set(this.#counting())
      if (updates.every((update) => counting.has(update))) throw error
      return
    }
    this.#onCandidate(candidates.view()!)
  }

  /** The next version, where it waits for the host's measurement. */
  candidate(): CandidateView | null {
    return this.#candidates?.view() ?? null
  }

  /** Publishes the candidate if it is good enough, else holds it back. Throws ProtocolError `host/no-candidate`. */
  judge(digest: Digest, measured: Measured): Promise<boolean> {
    return this.#run(async () => {
      if (!this.#candidates) throw new ProtocolError('host/no-candidate')
      const isGood = this.#candidates.judge(digest, measured)
      if (isGood) await this.#publishCandidate(digest, measured)
      return isGood
    })
  }

  /** Publishes the candidate whatever was measured. Throws ProtocolError `host/no-candidate`. */
  publishCandidate(digest: Digest): Promise<void> {
    return this.#run(() => this.#publishCandidate(digest, null))
  }

  async #publishCandidate(digest: Digest, measured: Measured | null): Promise<void> {
    if (!this.#candidates) throw new ProtocolError('host/no-candidate')
    const newest = this.#store.versions().at(-1)
    this.#onPublished(await this.#candidates.publish(digest, (newest?.version ?? 0) + 1, measured))
  }

  /** Once, after the room has closed. What is published is fixed, with its noise, before any of it is computed. */
  async #publishPrivately(privacy: Privacy): Promise<void> {
    if (!this.#isClosed() || this.#store.versions().length > 0) return
    const sigma = gaussianSigma(privacy)
    const release = this.#store.drawRelease((contributions) =>
      privacyFigures({ ...this.#store.manifest, privacy }, sigma, contributions),
    )
    if (!release) return
    if (release.noiseKey === null) throw new ProtocolError('store/damaged')
    const { digest, files } = await this.#merge(release.updates, { noiseKey: release.noiseKey })
    this.#onPublished(await this.#store.addVersion({ version: 1, digest }, release.updates, files))
  }

  #counting(): Digest[] {
    return this.#store
      .updates()
      .filter(({ approved }) => approved)
      .map(({ digest }) => digest)
  }

  /** Each round that has ended is the version of its number, one after the other. */
  async #publishRounds(): Promise<void> {
    for (;;) {
      const version = this.#store.versions().length + 1
      const round = this.#store.rounds().find((candidate) => candidate.round === version)
      if (!round?.closed) return
      const updates = this.#store
        .updates()
        .filter((update) => update.round === version)
        .map(({ digest }) => digest)
      const { digest, files } = await this.#merge(updates, { after: version - 1 })
      this.#onPublished(await this.#store.addVersion({ version, digest }, updates, files))
    }
  }

  /** `after`: in a room of rounds, the version that this one goes on from. */
  #merge(
    updates: readonly Digest[],
    { noiseKey, after = 0 }: { noiseKey?: string; after?: number } = {},
  ): Promise<MergedVersion> {
    const { manifest } = this.#store
    const before = isStepped(manifest.mode) ? this.#store.versions().find((v) => v.version === after) : null
    return this.#thread.merge({
      manifest,
      updates: updates.map((digest) => ({ digest, path: this.#store.updatePath(digest) })),
      startPath: this.#startPath,
      noiseKey,
      origin: before
        ? { digest: before.digest, path: this.#store.versionPath(after, CONTINUATION_FILE) }
        : null,
    })
  }
}
