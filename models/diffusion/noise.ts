/** Noise from a seed: the counter-based generator's words (models/adapters/random.ts), so that a run can be repeated. */
import { RandomStream } from '../adapters/random.ts'

/** Box & Muller 1958: two uniforms give two normals. */
export class NormalStream {
  readonly #uniforms: RandomStream
  #kept: number | null = null

  constructor(seed: string, label: string) {
    this.#uniforms = new RandomStream(seed, label)
  }

  next(): number {
    if (this.#kept !== null) {
      const kept = this.#kept
      this.#kept = null
      return kept
    }
    // (0, 1]: its logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log(1 - this.#uniforms.nextFloat()))
    const angle = 2 * Math.PI * this.#uniforms.nextFloat()
    this.#kept = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}

export function normalNoise(seed: string, label: string, count: number): Float32Array {
  const stream = new NormalStream(seed, label)
  return Float32Array.from({ length: count }, () => stream.next())
}
