/**
 * Which examples each step takes: every epoch is a new shuffle, drawn from the seed and the epoch's number, and
 * batches run on across epochs. Depends on the step alone, so a resumed run needs no state, and two clients
 * cannot influence each other.
 */
import { RandomStream } from '../adapters/random.ts'

export class ExampleOrder {
  private readonly count: number
  private readonly batch: number
  private readonly seed: string
  private readonly shuffles = new Map<number, Uint32Array>()

  constructor(count: number, batch: number, seed: string) {
    this.count = count
    this.batch = batch
    this.seed = seed
  }

  /** Indices of the examples of a step, counted from 1. With fewer examples than a batch, some come twice. */
  ofStep(step: number): number[] {
    const first = (step - 1) * this.batch
    const firstEpoch = Math.floor(first / this.count)
    for (const epoch of this.shuffles.keys()) if (epoch < firstEpoch) this.shuffles.delete(epoch)
    return Array.from({ length: this.batch }, (_, i) => {
      const place = first + i
      return this.shuffle(Math.floor(place / this.count))[place % this.count]
    })
  }

  /** Fisher and Yates' shuffle of 0..count-1. */
  private shuffle(epoch: number): Uint32Array {
    const known = this.shuffles.get(epoch)
    if (known) return known
    const random = new RandomStream(this.seed, `epoch ${epoch}`)
    const order = Uint32Array.from({ length: this.count }, (_, i) => i)
    for (let i = this.count - 1; i > 0; i--) {
      // 32 random bits over a few thousand examples: the bias of the remainder is below one in a million.
      const j = random.nextUint32() % (i + 1)
      ;[order[i], order[j]] = [order[j], order[i]]
    }
    this.shuffles.set(epoch, order)
    return order
  }
}
