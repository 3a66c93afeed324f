/**
 * From the set of accepted updates to one merged adapter: a pure function, the same to the bit whatever the
 * order of arrival, duplicates without effect, a withdrawn update gone as if never sent. One file a strategy;
 * adding one is a file and a line in `strategies`.
 */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { type Contribution, contributionSet } from './contribution.ts'
import { mergedDigest } from './digest.ts'
import { MergeError } from './errors.ts'
import { fedit, feditAdapters } from './fedit.ts'
import { florist, floristAdapters } from './florist.ts'

/** As a room's manifest names it. `tau`: share of the delta's energy that is kept. */
export type StrategyChoice = { readonly id: 'florist'; readonly tau: number } | { readonly id: 'fedit' }
export type StrategyId = StrategyChoice['id']

export interface Strategy<Choice extends StrategyChoice> {
  /** Over a room's updates: all of one shape, sorted by digest, checked. */
  mergeUpdates(choice: Choice, initial: Adapter, updates: readonly Contribution[]): Adapter
  /** Over finished adapters; `weights` sum to 1. */
  mergeAdapters(choice: Choice, adapters: readonly Adapter[], weights: readonly number[]): Adapter
}

export const strategies: { readonly [Id in StrategyId]: Strategy<Extract<StrategyChoice, { id: Id }>> } = {
  florist: {
    mergeUpdates: ({ tau }, initial, updates) => florist(initial, updates, tau),
    mergeAdapters: ({ tau }, adapters, weights) => floristAdapters(adapters, weights, tau),
  },
  fedit: {
    mergeUpdates: (_, initial, updates) => fedit(initial, updates),
    mergeAdapters: (_, adapters, weights) => feditAdapters(adapters, weights),
  },
}

/** Energy kept by default: what is cut is smaller than what 8-bit updates round away. */
export const DEFAULT_TAU = 0.999

export interface MergedUpdates {
  readonly adapter: Adapter
  /** Hex SHA-256, as digest.ts defines it. */
  readonly digest: string
}

/** `initial` is what every client started from (the manifest's seed gives it). Throws MergeError. */
export function mergeUpdates(round: {
  strategy: StrategyChoice
  initial: Adapter
  manifestDigest: string
  updates: readonly Contribution[]
}): MergedUpdates {
  const set = contributionSet(round.initial, round.updates)
  const strategy = strategies[round.strategy.id] as Strategy<StrategyChoice>
  const adapter = strategy.mergeUpdates(round.strategy, round.initial, set)
  const digests = set.map(({ digest }) => digest)
  return { adapter, digest: mergedDigest(round.manifestDigest, digests, adapter) }
}

/**
 * Merges finished adapters that share no known start, as `oneround merge` does. `weights` are example counts
 * or any other positive numbers; only their ratios matter. Throws MergeError.
 */
export function mergeAdapters(merge: {
  strategy: StrategyChoice
  weights: readonly number[]
  adapters: readonly Adapter[]
}): Adapter {
  const { adapters, weights } = merge
  const first = adapters[0]
  if (!first) throw new MergeError('merge/nothing', 'There is nothing to merge: name at least one adapter.')
  if (weights.length !== adapters.length) {
    throw new MergeError(
      'merge/weights',
      `There are ${adapters.length} adapters and ${weights.length} weights: give one weight for each adapter.`,
    )
  }
  const odd = weights.find((weight) => !(weight > 0 && Number.isFinite(weight)))
  if (odd !== undefined) {
    throw new MergeError('merge/weights', `A weight is a positive number (a count of examples), not ${odd}.`)
  }
  adapters.forEach((adapter, k) => {
    checkSameModules(first, adapter, k)
  })
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const strategy = strategies[merge.strategy.id] as Strategy<StrategyChoice>
  return strategy.mergeAdapters(
    merge.strategy,
    adapters,
    weights.map((weight) => weight / sum),
  )
}

function checkSameModules(first: Adapter, adapter: Adapter, k: number) {
  const names = new Set([...first.modules.keys(), ...adapter.modules.keys()])
  for (const name of names) {
    const p = first.modules.get(name)
    const q = adapter.modules.get(name)
    if (!p || !q || p.inFeatures !== q.inFeatures || p.outFeatures !== q.outFeatures) {
      throw new MergeError(
        'merge/shape',
        `Adapter ${k + 1} does not fit the first one at ${name}: all must adapt the same modules of the same base model.`,
      )
    }
  }
}

export {
  type Contribution,
  MAX_CHANGE,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
} from './contribution.ts'
export { MergeError, type MergeErrorCode } from './errors.ts'
export { FedItAccumulator } from './fedit.ts'
