/** What a participant's program can listen to. */
import { ProtocolError } from '../protocol/errors.ts'
import type { RoomStatus, Version } from '../protocol/messages.ts'
import type { RoundState } from './states.ts'

export interface ClientEvents {
  state: RoundState
  /** Whether the room is joined over a live connection right now. */
  online: boolean
  status: RoomStatus
  published: Version
  /** A version the relay has erased, because a contribution in it was withdrawn. */
  retired: Version
}

type Listeners = { [E in keyof ClientEvents]: Set<(value: ClientEvents[E]) => void> }

export class ClientEventListeners {
  readonly #listeners: Listeners = {
    state: new Set(),
    online: new Set(),
    status: new Set(),
    published: new Set(),
    retired: new Set(),
  }

  /** Returns a function that ends the listening. */
  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): () => void {
    this.#listeners[event].add(listener)
    return () => void this.#listeners[event].delete(listener)
  }

  tell<E extends keyof ClientEvents>(event: E, value: ClientEvents[E]): void {
    for (const listener of [...this.#listeners[event]]) listener(value)
  }

  /** Resolves when something was heard of the room; rejects when it failed or was left. */
  heard(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stops = [
        this.on('status', () => settle(resolve)),
        this.on('published', () => settle(resolve)),
        this.on('state', (state) => {
          if (state.phase === 'failed') settle(() => reject(state.error))
          if (state.phase === 'left') settle(() => reject(new ProtocolError('client/aborted')))
        }),
      ]
      const abort = () => settle(() => reject(signal?.reason))
      const settle = (then: () => void) => {
        for (const stop of stops) stop()
        signal?.removeEventListener('abort', abort)
        then()
      }
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    })
  }
}
