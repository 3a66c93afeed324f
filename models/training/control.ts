/** Pause, resume and stop of a training run, from outside it; takes effect between two steps. */
export class TrainControl {
  private pausing = false
  private stopping = false
  private wake: (() => void) | null = null

  get paused(): boolean {
    return this.pausing
  }

  get stopped(): boolean {
    return this.stopping
  }

  pause(): void {
    this.pausing = true
  }

  resume(): void {
    this.pausing = false
    this.wake?.()
  }

  /** Ends the run early; it still measures once more and returns its best adapter. Also ends a pause. */
  stop(): void {
    this.stopping = true
    this.resume()
  }

  /** Resolves as soon as the run may go on. */
  async untilRunning(): Promise<void> {
    while (this.pausing) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }
}
