/**
 * When a round is over, in a room that has several: at its quorum, or at its deadline with fewer if there is at least
 * one. The deadline counts from when somebody is there; if nothing has come by then, it counts again from there. So
 * clients that never come back hold nobody up, and an empty room waits. All of it is in the ledger: a relay that was
 * stopped goes on with the same round and the same deadline.
 */
import { quorumOf, type SteppedMode } from '../protocol/manifest.ts'
import type { RoundStatus } from '../protocol/messages.ts'
import type { LedgerRound } from '../store/ledger-types.ts'
import type { RoomStore } from '../store/room-store.ts'
import { MAX_TIMER_MS } from './timers.ts'

export type RoundDecision =
  | { readonly act: 'close' }
  /** The deadline counts from now (or, with nobody there, from when somebody comes). */
  | { readonly act: 'restart-clock'; readonly from: Date | null }
  /** Null: until something happens. */
  | { readonly act: 'wait'; readonly forMs: number | null }

/** What is to be done about the round that takes updates. */
export function decide(
  mode: SteppedMode,
  round: Pick<LedgerRound, 'clockFrom'>,
  room: { readonly received: number; readonly isSomebodyThere: boolean; readonly now: Date },
): RoundDecision {
  const { received, isSomebodyThere, now } = room
  if (received >= quorumOf(mode)) return { act: 'close' }
  if (mode.kind !== 'rounds') return { act: 'wait', forMs: null }
  if (round.clockFrom === null) {
    return isSomebodyThere || received > 0
      ? { act: 'restart-clock', from: now }
      : { act: 'wait', forMs: null }
  }
  const leftMs = deadlineMs(mode, round.clockFrom) - now.getTime()
  if (leftMs > 0) return { act: 'wait', forMs: leftMs }
  return received > 0 ? { act: 'close' } : { act: 'restart-clock', from: isSomebodyThere ? now : null }
}

const deadlineMs = (mode: SteppedMode & { kind: 'rounds' }, clockFrom: string) =>
  Date.parse(clockFrom) + mode.deadlineSeconds * 1000

export interface RoundsOptions {
  readonly store: RoomStore
  readonly mode: SteppedMode
  readonly isSomebodyThere: () => boolean
  /** A round has ended; with the last one the room is closed. */
  readonly onClosed: (isLast: boolean) => void
}

export class Rounds {
  readonly #options: RoundsOptions
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: RoundsOptions) {
    this.#options = options
  }

  status(): RoundStatus {
    const { store, mode } = this.#options
    const round = store.rounds().at(-1)!
    const published = store.versions().length
    const hasDeadline = mode.kind === 'rounds' && !round.closed && round.clockFrom !== null
    return {
      round: round.round,
      rounds: mode.kind === 'rounds' ? mode.rounds : null,
      start: published >= round.round - 1 ? round.round - 1 : null,
      received: this.#received(round.round),
      quorum: quorumOf(mode),
      deadline: hasDeadline ? new Date(deadlineMs(mode, round.clockFrom!)).toISOString() : null,
    }
  }

  /** To be called whenever something has happened: does what is due, and comes back by itself when time is up. */
  check(): void {
    clearTimeout(this.#timer)
    const { store, mode, isSomebodyThere } = this.#options
    for (;;) {
      const open = store.rounds().find(({ closed }) => !closed)
      if (!open || this.#stopped) return
      const received = this.#received(open.round)
      const decision = decide(mode, open, { received, isSomebodyThere: isSomebodyThere(), now: store.now() })
      switch (decision.act) {
        case 'close':
          this.#close(open.round, mode.kind === 'rounds' && open.round === mode.rounds)
          break
        case 'restart-clock':
          store.setRoundClock(open.round, decision.from)
          if (decision.from === null) return
          break
        case 'wait':
          if (decision.forMs !== null) {
            this.#timer = setTimeout(() => this.check(), Math.min(decision.forMs, MAX_TIMER_MS)).unref()
          }
          return
        default:
          decision satisfies never
      }
    }
  }

  /** Ends the open round with what it has, whatever its quorum; nothing where it has nothing. */
  closeNow(): void {
    const { store, mode } = this.#options
    const open = store.rounds().find(({ closed }) => !closed)
    if (open) this.#close(open.round, mode.kind === 'rounds' && open.round === mode.rounds)
    this.check()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #close(round: number, isLast: boolean): void {
    if (this.#options.store.closeRound(round, isLast)) this.#options.onClosed(isLast)
  }

  #received(round: number): number {
    return this.#options.store.updates().filter((update) => update.round === round).length
  }
}
