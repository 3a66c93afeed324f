/**
 * FedIT: average the factors. Zhang et al. 2023, https://arxiv.org/abs/2305.05644 ; it is also what the
 * one-shot paper's code does (https://arxiv.org/abs/2412.04650).
 *
 *   A = sum p_k A_k,  B = sum p_k B_k,  p_k = n_k / sum n
 *
 * Cheap and linear, but B A is not the mean of the clients' B_k A_k: it is off by sum p_k (B_k - B)(A_k - A).
 *
 * Floating-point addition depends on its order, so the sums are kept in whole numbers: round(x * 2^24) * n
 * with |x| <= 8, n <= 1000 and at most 1024 contributions stays below 2^47, where a double is exact. Adding
 * and removing in any order therefore gives the same bits, and a withdrawn update is gone as if never sent.
 * The 2^-25 of rounding is a four-hundredth of the finest step an 8-bit update can express.
 */
import { type Adapter, type LoraFactors, loraA, loraB } from '../../models/adapters/adapter.ts'
import { type Contribution, checkContribution, checkCount } from './contribution.ts'
import { MergeError } from './errors.ts'

const FIXED_POINT = 2 ** 24

/** Running sums of one room. `result` costs one division an entry; `add` and `remove` are exact inverses. */
export class FedItAccumulator {
  readonly #initial: Adapter
  /** By tensor name: sum of round(change * 2^24) * examples, whole numbers below 2^47. */
  readonly #sums = new Map<string, Float64Array>()
  readonly #examples = new Map<string, number>()

  constructor(initial: Adapter) {
    this.#initial = initial
    for (const [module, { a, b }] of initial.modules) {
      this.#sums.set(loraA(module), new Float64Array(a.length))
      this.#sums.set(loraB(module), new Float64Array(b.length))
    }
  }

  get contributions(): number {
    return this.#examples.size
  }

  /** False, and without effect, when this digest is in already. Throws MergeError and then changes nothing. */
  add(update: Contribution): boolean {
    if (this.#examples.has(update.digest)) return false
    checkCount(this.#examples.size + 1)
    checkContribution(this.#initial, update)
    this.#accumulate(update, update.examples)
    this.#examples.set(update.digest, update.examples)
    return true
  }

  /** `update` must be what was added: its bytes are named by the digest. */
  remove(update: Contribution): void {
    const examples = this.#examples.get(update.digest)
    if (examples === undefined || examples !== update.examples) {
      throw new MergeError(
        'merge/unknown-contribution',
        `The update ${update.digest.slice(0, 12)} is not part of this sum, so it cannot be taken out.`,
      )
    }
    checkContribution(this.#initial, update)
    this.#accumulate(update, -examples)
    this.#examples.delete(update.digest)
  }

  /** The merged adapter, in the initial one's shape. */
  result(): Adapter {
    let examples = 0
    for (const count of this.#examples.values()) examples += count
    if (examples === 0) {
      throw new MergeError(
        'merge/nothing',
        'There is no update to merge yet: wait for the first contribution.',
      )
    }
    const divisor = FIXED_POINT * examples // below 2^44: exact
    const mean = (name: string, start: Float32Array) => {
      const sum = this.#sums.get(name)!
      return start.map((value, i) => value + sum[i]! / divisor)
    }
    const modules = new Map<string, LoraFactors>()
    for (const [name, factors] of this.#initial.modules) {
      modules.set(name, { ...factors, a: mean(loraA(name), factors.a), b: mean(loraB(name), factors.b) })
    }
    return { modules }
  }

  #accumulate(update: Contribution, weight: number) {
    for (const [name, sum] of this.#sums) {
      const change = update.change.get(name)!
      for (let i = 0; i < sum.length; i++) sum[i]! += Math.round(change[i]! * FIXED_POINT) * weight
    }
  }
}

export function fedit(initial: Adapter, updates: readonly Contribution[]): Adapter {
  const sum = new FedItAccumulator(initial)
  for (const update of updates) sum.add(update)
  return sum.result()
}

/** The same mean over finished adapters, in doubles; all of one rank. `weights` sum to 1. */
export function feditAdapters(adapters: readonly Adapter[], weights: readonly number[]): Adapter {
  const modules = new Map<string, LoraFactors>()
  for (const [name, first] of adapters[0]!.modules) {
    const all = adapters.map((adapter) => adapter.modules.get(name)!)
    const odd = all.find(({ rank, alpha }) => rank !== first.rank || alpha !== first.alpha)
    if (odd) {
      throw new MergeError(
        'merge/shape',
        `Averaging factors (fedit) needs one rank and alpha, but ${name} has rank ${first.rank}, alpha ${first.alpha} in one adapter and rank ${odd.rank}, alpha ${odd.alpha} in another: use florist.`,
      )
    }
    const mean = (pick: (factors: LoraFactors) => Float32Array) =>
      pick(first).map((_, i) => all.reduce((sum, factors, k) => sum + weights[k]! * pick(factors)[i]!, 0))
    modules.set(name, { ...first, a: mean(({ a }) => a), b: mean(({ b }) => b) })
  }
  return { modules }
}
