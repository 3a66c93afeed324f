/** Runs the tasks of one key one after the other, in the order they came; tasks of different keys side by side. */
export class SerialQueue<Key> {
  readonly #last = new Map<Key, Promise<unknown>>()

  run<T>(key: Key, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    // A failed task is its caller's matter; the next one starts all the same.
    const result = before.then(task, task)
    const settled = result.then(
      () => undefined,
      () => undefined,
    )
    this.#last.set(key, settled)
    void settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return result
  }

  /** Resolves when everything queued so far has run. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values())
  }
}
