/**
 * Jobs that need the device while a training run has it: they run between two of its steps, or at once while it
 * is paused. Two things at a time on one device would measure and slow each other.
 */
export class BetweenSteps {
  private readonly jobs: (() => Promise<void>)[] = []
  private resting = false
  private running: Promise<void> = Promise.resolve()

  /** Resolves or fails with `job`. */
  add<T>(job: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.jobs.push(() => job().then(resolve, reject))
      if (this.resting) void this.run()
    })
  }

  /** The run has come to a step's end: whatever waits runs now, one after the other. */
  run(): Promise<void> {
    this.running = this.running.then(async () => {
      for (let job = this.jobs.shift(); job; job = this.jobs.shift()) await job()
    })
    return this.running
  }

  /** The run is paused: from now on jobs run as they come. */
  rest(): void {
    this.resting = true
    void this.run()
  }

  /** Before the run goes on: resolves when nothing else has the device. */
  async wake(): Promise<void> {
    this.resting = false
    await this.running
  }
}
