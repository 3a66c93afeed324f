/**
 * The linear strategies, one client at a time: whatever the number of clients before, one more costs a pass over its
 * update and the publication a division a number, and the bits are those of a merge of all of them at once.
 */
import { type Adapter, type AdapterForm, withoutCores } from '../../models/adapters/adapter.ts'
import { AveragedFactors } from './averaged-factors.ts'
import type { Contribution } from './contribution.ts'
import { mergedDigest } from './digest.ts'
import { FactorSum } from './factor-sum.ts'
import type { MergedUpdates } from './index.ts'
import { publish } from './publish.ts'
import { roundStart } from './round-start.ts'
import type { StrategyChoice } from './strategies.ts'

export class RunningMerge {
  readonly #choice: StrategyChoice
  readonly #initial: Adapter
  readonly #sum: FactorSum
  readonly #digests = new Set<string>()

  /** `linear` must hold of the choice and the form. */
  constructor(choice: StrategyChoice, initial: Adapter, form: AdapterForm = 'lora') {
    this.#choice = choice
    this.#initial = initial
    this.#sum = new FactorSum(roundStart(initial, form))
  }

  /**
   * Clipping by a fixed norm would be linear too, but takes the delta's norm, which is no single pass; `ffa` with a
   * trained A has to look at it.
   */
  static linear({ id, clip }: StrategyChoice, form: AdapterForm = 'lora'): boolean {
    return clip === undefined && (id === 'fedit' || ((id === 'ffa' || id === 'lora-sb') && id === form))
  }

  /** Memory of the sums. */
  get bytes(): number {
    return this.#sum.bytes
  }

  get digests(): ReadonlySet<string> {
    return this.#digests
  }

  /** Without effect when its digest is in already. Throws MergeError and then changes nothing. */
  add(update: Contribution): void {
    this.#sum.add(update)
    this.#digests.add(update.digest)
  }

  /** The exact inverse of `add`. Throws MergeError. */
  remove(update: Contribution): void {
    this.#sum.remove(update)
    this.#digests.delete(update.digest)
  }

  /** Throws MergeError `merge/nothing`. */
  result(manifestDigest: string): MergedUpdates {
    const { modules } = withoutCores(this.#sum.result())
    const adapter = publish(
      this.#choice,
      this.#initial.modules.values(),
      ({ name }) => new AveragedFactors(modules.get(name)!),
    )
    return { adapter, digest: mergedDigest(manifestDigest, [...this.#digests], adapter) }
  }
}
