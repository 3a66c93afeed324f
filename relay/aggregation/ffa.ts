/**
 * FFA-LoRA: every client keeps A at A0 and trains B alone, so that averaging factors is exact. Sun et al. 2024,
 * https://arxiv.org/abs/2403.12313
 *
 *   dW = s (sum p_k B_k) A0 = sum p_k s B_k A0
 *
 * Linear: with A frozen it is FedIT to the bit, and FedItAccumulator adds and removes a client in
 * rank (in + out) a module. One rank and alpha for all. Weights: example counts. An update that did change A was
 * trained for another A than the merge would use, so it is refused.
 */
import { type Adapter, loraA } from '../../models/adapters/adapter.ts'
import type { Contribution } from './contribution.ts'
import { MergeError } from './errors.ts'
import { fedit, feditAdapters } from './fedit.ts'

export function ffa(initial: Adapter, updates: readonly Contribution[]): Adapter {
  for (const { digest, change } of updates) {
    for (const name of initial.modules.keys()) {
      if (change.get(loraA(name))!.some((value) => value !== 0)) {
        throw new MergeError(
          'merge/shape',
          `The update ${digest.slice(0, 12)} changes A in ${name}, which ffa keeps frozen: train B alone, or merge by another strategy.`,
        )
      }
    }
  }
  return fedit(initial, updates)
}

/** The same over finished adapters. `weights` sum to 1. */
export function ffaAdapters(adapters: readonly Adapter[], weights: readonly number[]): Adapter {
  const first = adapters[0]!
  const merged = feditAdapters(adapters, weights)
  for (const [name, { a }] of first.modules) {
    const frozen = adapters.every((adapter) => {
      const other = adapter.modules.get(name)!.a
      return other.every((value, i) => value === a[i])
    })
    if (!frozen) {
      throw new MergeError(
        'merge/shape',
        `The adapters differ in A of ${name}, which ffa keeps frozen: train B alone from one start, or merge by another strategy.`,
      )
    }
  }
  // A as it is: a mean of equal numbers may round.
  return {
    modules: new Map(
      [...merged.modules].map(([name, factors]) => [name, { ...factors, a: first.modules.get(name)!.a }]),
    ),
  }
}
