/**
 * What a room still lets in. Newcomers until its host closes joining, updates until the host closes the room or its
 * last round ends, and neither once the time in its manifest is over. Nothing at all once it is deleted.
 */
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import type { RoomStore } from '../store/room-store.ts'
import { equalInConstantTime } from './identity.ts'
import { MAX_TIMER_MS } from './timers.ts'

export class Lifetime {
  readonly #store: RoomStore
  #closed: boolean
  #deleted = false
  #expiry: NodeJS.Timeout | undefined

  constructor(store: RoomStore, closed: boolean) {
    this.#store = store
    this.#closed = closed
  }

  get closed(): boolean {
    return this.#closed
  }

  end(): void {
    this.#closed = true
    this.stopClock()
  }

  delete(): void {
    this.#deleted = true
    this.end()
  }

  get deleted(): boolean {
    return this.#deleted
  }

  /** Throws ProtocolError `room/deleted`. */
  requireThere(): void {
    if (this.#deleted) throw new ProtocolError('room/deleted')
  }

  /** Calls once, when the time of a room that is open is over; a timer cannot wait longer than MAX_TIMER_MS. */
  onExpiry(callback: () => void): void {
    const { expiresAt } = this.#store.manifest
    if (expiresAt === undefined || this.#closed) return
    const leftMs = Math.max(0, Date.parse(expiresAt) - this.#store.now().getTime())
    this.#expiry = setTimeout(
      () => (this.#expired() ? callback() : this.onExpiry(callback)),
      Math.min(leftMs, MAX_TIMER_MS),
    ).unref()
  }

  stopClock(): void {
    clearTimeout(this.#expiry)
  }

  /** Why nobody new may join, or null. */
  refusesNew(): ErrorCode | null {
    if (this.#deleted) return 'room/deleted'
    if (this.#expired()) return 'room/expired'
    if (this.#closed) return 'room/closed'
    return this.#store.joiningClosed() ? 'room/joining-closed' : null
  }

  /** Throws ProtocolError `room/…` or `join/code`. */
  admit(code: string | undefined): void {
    const refusal = this.refusesNew()
    if (refusal !== null) throw new ProtocolError(refusal)
    const expected = this.#store.joinCode()
    const spelling = (text: string) => text.toUpperCase().replaceAll('-', '')
    if (expected !== null && !equalInConstantTime(spelling(code ?? ''), spelling(expected))) {
      throw new ProtocolError('join/code')
    }
  }

  /** Throws ProtocolError `room/deleted`, `room/expired` or `room/closed`. */
  requireOpen(): void {
    this.requireThere()
    if (this.#expired()) throw new ProtocolError('room/expired')
    if (this.#closed) throw new ProtocolError('room/closed')
  }

  #expired(): boolean {
    const { expiresAt } = this.#store.manifest
    return expiresAt !== undefined && this.#store.now().getTime() >= Date.parse(expiresAt)
  }
}
