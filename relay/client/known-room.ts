/** What a participant has heard of its room: the status, the versions published, and the round that takes updates. */
import type { RoomStatus, Version } from '../protocol/messages.ts'
import type { ClientEventListeners } from './client-events.ts'

/** What the next update is trained from. */
export interface RoundStart {
  /** 1 where a room has a single one. */
  readonly round: number
  readonly version: Version | null
}

export class KnownRoom {
  readonly #events: ClientEventListeners
  #status: RoomStatus | undefined
  #versions: readonly Version[] = []

  constructor(events: ClientEventListeners) {
    this.#events = events
  }

  get status(): RoomStatus | undefined {
    return this.#status
  }

  /** Oldest first. */
  get versions(): readonly Version[] {
    return this.#versions
  }

  /** The round that takes updates, once its start is there. */
  openRound(): RoundStart | null {
    const { round } = this.#status ?? {}
    if (!round || round.start === null || this.#status?.closed) return null
    const { start } = round
    const version = this.#versions.find((known) => known.version === start) ?? null
    return start > 0 && !version ? null : { round: round.round, version }
  }

  setStatus(status: RoomStatus): void {
    this.#status = status
    this.#events.tell('status', status)
  }

  published(version: Version): void {
    if (this.#versions.some((known) => known.version === version.version)) {
      if (version.retired) this.retired(version.version)
      return
    }
    this.#versions = [...this.#versions, version].sort((a, b) => a.version - b.version)
    this.#events.tell('published', version)
  }

  /** By its number. */
  retired(number: number): void {
    const version = this.#versions.find((known) => known.version === number)
    if (!version || version.retired) return
    const retired: Version = { ...version, retired: true }
    this.#versions = this.#versions.map((known) => (known === version ? retired : known))
    this.#events.tell('retired', retired)
  }
}
