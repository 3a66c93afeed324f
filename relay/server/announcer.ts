/** Announces a room's status: at once, and then again only after a pause, or a class that joins would hear of everyone. */

/** Between two announcements. */
const PAUSE_MS = 200

export class Announcer {
  readonly #announce: () => void
  #pause: NodeJS.Timeout | undefined
  #changed = false
  #stopped = false

  constructor(announce: () => void) {
    this.#announce = announce
  }

  changed(): void {
    if (this.#stopped) return
    if (this.#pause) {
      this.#changed = true
      return
    }
    this.#announce()
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      if (!this.#changed) return
      this.#changed = false
      this.changed()
    }, PAUSE_MS).unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#pause)
  }
}
