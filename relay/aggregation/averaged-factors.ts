/** A merged module that has its factors, alpha and rank already: what the strategies that average factors give. */
import type { LoraFactors } from '../../models/adapters/adapter.ts'
import { FactorStack } from './factor-stack.ts'
import type { MergedDelta } from './merged-delta.ts'
import type { RankLimit } from './rank-limit.ts'

export class AveragedFactors implements MergedDelta {
  readonly #factors: LoraFactors

  constructor(factors: LoraFactors) {
    this.#factors = factors
  }

  exact(): LoraFactors {
    return this.#factors
  }

  reduced(limit: RankLimit): LoraFactors {
    const { rank, alpha, a, b } = this.#factors
    const stack = new FactorStack(this.#factors)
    stack.push(1, { rank, scale: alpha / rank, a: Float64Array.from(a), b: Float64Array.from(b) })
    return stack.reduced(limit)
  }
}
