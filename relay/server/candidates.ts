/**
 * The next version of a room with a quality gate, while it waits for the host's measurement: its files are written and
 * only the host can fetch them. A candidate is a function of its updates, so it is not kept over a restart but made
 * again; a verdict on it is kept, in the ledger, by its digest.
 */
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { CandidateView, Measured } from '../protocol/host.ts'
import type { PublishedVersion } from '../store/ledger-types.ts'
import type { RoomStore } from '../store/room-store.ts'
import type { MergedVersion } from './jobs.ts'

interface Candidate {
  readonly digest: Digest
  readonly updates: readonly Digest[]
  readonly files: CandidateView['files']
  /** The host's measurement that held it back. */
  readonly held: Measured | null
}

export class Candidates {
  readonly #store: RoomStore
  readonly #tolerance: number
  #current: Candidate | null = null

  /** `tolerance`: in the loss's own unit, by which a candidate may be worse than the base. */
  constructor(store: RoomStore, tolerance: number) {
    this.#store = store
    this.#tolerance = tolerance
  }

  get updates(): readonly Digest[] | null {
    return this.#current?.updates ?? null
  }

  view(): CandidateView | null {
    if (!this.#current) return null
    const { digest, updates, files, held } = this.#current
    return { digest, contributions: updates.length, state: held ? 'held' : 'waiting', measured: held, files }
  }

  async replace(merged: MergedVersion, updates: readonly Digest[]): Promise<void> {
    this.#current = null
    const files = await this.#store.candidate.write(merged.files)
    const held = this.#store.heldBack(merged.digest)
    this.#current = { digest: merged.digest, updates, files, held }
  }

  /** One of its updates is gone, or it is published. */
  async drop(): Promise<void> {
    this.#current = null
    await this.#store.candidate.remove()
  }

  /** True if the candidate may be published; otherwise it is held back from now on. Throws ProtocolError. */
  judge(digest: Digest, measured: Measured): boolean {
    const candidate = this.#of(digest)
    if (measured.loss <= measured.baseLoss + this.#tolerance) return true
    this.#store.holdBack(digest, candidate.updates, measured)
    this.#current = { ...candidate, held: measured }
    return false
  }

  /** Publishes it under this number, with the measurement it passed, or none where the host wants it anyway. */
  async publish(digest: Digest, version: number, measured: Measured | null): Promise<PublishedVersion> {
    const { updates, files } = this.#of(digest)
    const contents = await this.#store.candidate.read(files)
    const published = await this.#store.addVersion({ version, digest }, updates, contents, measured)
    await this.drop()
    return published
  }

  #of(digest: Digest): Candidate {
    if (this.#current?.digest !== digest) throw new ProtocolError('host/no-candidate')
    return this.#current
  }
}
