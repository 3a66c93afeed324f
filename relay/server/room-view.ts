/** What a room tells of itself: its status to everyone, the whole of it to its host. */
import { gaussianSigma } from '../aggregation/gaussian.ts'
import { AUDIT_START } from '../protocol/audit.ts'
import type { CandidateView, Overview } from '../protocol/host.ts'
import { MAX_PARTICIPANTS_IN_OVERVIEW } from '../protocol/limits.ts'
import type { Progress, RoomStatus, Version } from '../protocol/messages.ts'
import { privacyFigures } from '../protocol/privacy.ts'
import type { PublishedVersion } from '../store/ledger-types.ts'
import type { RoomStore } from '../store/room-store.ts'
import type { Lifetime } from './lifetime.ts'
import type { Rounds } from './rounds.ts'

/** What a client is told of a version: not which updates are in it. */
export const announced = ({ updates: _, ...version }: PublishedVersion): Version => version

export interface RoomViewOptions {
  readonly store: RoomStore
  readonly lifetime: Lifetime
  /** Of a room that has several. */
  readonly rounds: Rounds | undefined
  /** Participants, with what each last said of its progress. */
  readonly connected: ReadonlyMap<string, Progress | null>
  readonly candidate: () => CandidateView | null
}

export class RoomView {
  readonly #options: RoomViewOptions
  /** Of a private room's noise. */
  readonly #sigma: number

  constructor(options: RoomViewOptions) {
    this.#options = options
    const { privacy } = options.store.manifest
    this.#sigma = privacy ? gaussianSigma(privacy) : 0
  }

  status(): RoomStatus {
    const { store, lifetime, rounds, connected } = this.#options
    const newest = store.versions().at(-1)
    const contributions = store.contributions()
    const undecided = store.undecided()
    const { privacy } = store.manifest
    const candidate = this.#options.candidate()
    const published = rounds
      ? store.updates().filter(({ round }) => round <= (newest?.version ?? 0)).length
      : newest && !newest.retired
        ? newest.contributions
        : 0
    return {
      connected: connected.size,
      contributions,
      waiting: contributions - undecided - published,
      versions: newest?.version ?? 0,
      ...(store.manifest.admission === 'approve' ? { undecided } : {}),
      joinable: lifetime.refusesNew() === null,
      closed: lifetime.closed,
      ...(privacy && {
        privacy: privacyFigures({ ...store.manifest, privacy }, this.#sigma, contributions),
      }),
      ...(candidate && { candidate: candidate.state }),
      ...(rounds && { round: rounds.status() }),
    }
  }

  overview(): Overview {
    const { store, rounds, connected, candidate } = this.#options
    const { manifest, manifestDigest } = store
    const senders = store.senders()
    const participants = new Set([...connected.keys(), ...senders.keys()])
    const place = store.audit.place()
    return {
      room: manifest.room,
      title: manifest.title,
      manifestDigest,
      status: this.status(),
      joinCode: store.joinCode(),
      participants: [...participants].slice(0, MAX_PARTICIPANTS_IN_OVERVIEW).map((participant) => ({
        participant,
        connected: connected.has(participant),
        progress: connected.get(participant) ?? null,
        digest: senders.get(participant) ?? null,
      })),
      contributions: store.updates().map(({ approved, round, ...update }) => ({
        ...update,
        state: approved ? ('counts' as const) : ('undecided' as const),
        ...(rounds && { round }),
      })),
      versions: store.versions().map(announced),
      candidate: candidate(),
      audit: { lines: place?.sequence ?? 0, hash: place?.hash ?? AUDIT_START },
    }
  }
}
