/**
 * Running sums of what a room's clients train: the mean of the factors, one client more or less at a time.
 *
 * Floating-point addition depends on its order, so the sums are kept in whole numbers: round(x * 2^24) * n
 * with |x| <= 8, n <= 1000 and at most 1024 contributions stays below 2^47, where a double is exact. Adding
 * and removing in any order therefore gives the same bits, and a withdrawn update is gone as if never sent.
 * The 2^-25 of rounding is a four-hundredth of the finest step an 8-bit update can express.
 *
 * Memory 8 bytes a trained number, whatever the number of clients; one more costs one pass over its update.
 */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { type Contribution, checkContribution, checkCount } from './contribution.ts'
import { MergeError } from './errors.ts'
import { type RoundStart, withTrained } from './round-start.ts'

export const FIXED_POINT = 2 ** 24

/** `add` and `remove` are exact inverses; `result` costs one division an entry. */
export class FactorSum {
  readonly #start: RoundStart
  /** By tensor name: sum of round(change * 2^24) * examples, whole numbers below 2^47. */
  readonly #sums = new Map<string, Float64Array>()
  readonly #examples = new Map<string, number>()

  constructor(start: RoundStart) {
    this.#start = start
    for (const [tensor, { length }] of start.trained) this.#sums.set(tensor, new Float64Array(length))
  }

  get contributions(): number {
    return this.#examples.size
  }

  /** Memory of the sums. */
  get bytes(): number {
    let bytes = 0
    for (const sum of this.#sums.values()) bytes += sum.byteLength
    return bytes
  }

  /** False, and without effect, when this digest is in already. Throws MergeError and then changes nothing. */
  add(update: Contribution): boolean {
    if (this.#examples.has(update.digest)) return false
    checkCount(this.#examples.size + 1)
    checkContribution(this.#start, update)
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
    checkContribution(this.#start, update)
    this.#accumulate(update, -examples)
    this.#examples.delete(update.digest)
  }

  /** The merged adapter, in the start's shape and form. */
  result(): Adapter {
    let examples = 0
    for (const count of this.#examples.values()) examples += count
    if (examples === 0) {
      throw new MergeError(
        'merge/nothing',
        'There is no update to merge yet: wait for the first contribution.',
      )
    }
    return withTrained(this.#start, (tensor, values) =>
      meanOfFixedPoint(values, this.#sums.get(tensor)!, examples),
    )
  }

  #accumulate(update: Contribution, weight: number) {
    for (const [tensor, sum] of this.#sums) addFixedPoint(sum, update.change.get(tensor)!, weight)
  }
}

/** sum += round(change * 2^24) * weight */
export function addFixedPoint(sum: Float64Array, change: Float32Array, weight: number): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += Math.round(change[i]! * FIXED_POINT) * weight
}

/** start + sum / (2^24 examples) */
export function meanOfFixedPoint(start: Float32Array, sum: Float64Array, examples: number): Float32Array {
  const divisor = FIXED_POINT * examples // below 2^44: exact
  return start.map((value, i) => value + sum[i]! / divisor)
}
