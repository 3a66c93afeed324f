/**
 * FFA-LoRA: every client keeps A at A0 and trains B alone, so that averaging factors is exact. Sun et al. 2024,
 * https://arxiv.org/abs/2403.12313
 *
 *   dW = s (sum p_k B_k) A0 = sum p_k s B_k A0
 *
 * Linear: the mean of B, in K r out a module, or r out for one client more or less (factor-sum.ts). One rank and alpha
 * for all. Weights: example counts. An update that did change A was trained for another A than the merge would use,
 * so it is refused; in a room of the form `ffa` it holds none.
 */
import { type Adapter, loraA } from '../../models/adapters/adapter.ts'
import type { Contribution } from './contribution.ts'
import { MergeError } from './errors.ts'
import { fedit, feditAdapters } from './fedit.ts'
import type { RoundStart } from './round-start.ts'
import type { ModuleMerge } from './strategies.ts'

export function ffa(start: RoundStart, updates: readonly Contribution[]): ModuleMerge {
  if (start.form === 'lora-sb') {
    throw new MergeError(
      'merge/strategy',
      'ffa averages B, and the clients of this room train the core R: merge by lora-sb.',
    )
  }
  if (start.form === 'lora') {
    for (const { digest, change } of updates) {
      for (const name of start.adapter.modules.keys()) {
        if (change.get(loraA(name))!.some((value) => value !== 0)) {
          throw new MergeError(
            'merge/shape',
            `The update ${digest.slice(0, 12)} changes A in ${name}, which ffa keeps frozen: train B alone, or merge by another strategy.`,
          )
        }
      }
    }
  }
  return fedit(start, updates)
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
        `The adapters differ in A of ${name}, which ffa and lora-sb keep frozen: train from one start by one of these, or merge by another strategy.`,
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
