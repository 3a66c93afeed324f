/** Every strategy by its id. Adding one is a file, a line here and one in relay/protocol/strategy.ts. */
import type { Adapter, AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import type { Strategy as RoomStrategy } from '../protocol/strategy.ts'
import { AveragedFactors } from './averaged-factors.ts'
import type { Client } from './client.ts'
import { clientsOfAdapters, clientsOfUpdates } from './client.ts'
import type { Clip } from './clip.ts'
import type { Contribution } from './contribution.ts'
import { dare } from './dare.ts'
import { fedit, feditAdapters } from './fedit.ts'
import { ffa, ffaAdapters } from './ffa.ts'
import { flexLora } from './flexlora.ts'
import { florist } from './florist.ts'
import { median } from './median.ts'
import type { MergedDelta } from './merged-delta.ts'
import { rfa } from './rfa.ts'
import { stack } from './stack.ts'
import { taskArithmetic } from './task.ts'
import { ties } from './ties.ts'
import { trimmedMean } from './trimmed-mean.ts'

/**
 * Those a room may choose, and `ffa`, which needs clients that keep A frozen: a room's manifest has no term for
 * that, so ffa merges adapters trained elsewhere.
 */
export type StrategyChoice =
  | RoomStrategy
  | {
      readonly id: 'ffa'
      readonly lambda?: number | undefined
      readonly clip?: Clip | undefined
      readonly rank?: number | undefined
      readonly tau?: number | undefined
    }
export type StrategyId = StrategyChoice['id']

/** What a strategy makes of one module; asked for one at a time, so that only one is held. */
export type ModuleMerge = (module: AdapterModule) => MergedDelta

export interface Strategy<Choice extends StrategyChoice> {
  /** Over a room's updates: all of one shape, sorted by digest, checked. */
  overUpdates(choice: Choice, initial: Adapter, updates: readonly Contribution[]): ModuleMerge
  /** Over finished adapters of the same modules, sorted by digest; `weights` sum to 1. */
  overAdapters(
    choice: Choice,
    adapters: readonly Adapter[],
    weights: readonly number[],
    digests: readonly string[],
  ): ModuleMerge
}

/** A strategy on deltas, to which an update and a finished adapter are the same. */
function onDeltas<Choice extends StrategyChoice>(
  merge: (choice: Choice, modules: readonly LoraFactors[], clients: readonly Client[]) => ModuleMerge,
): Strategy<Choice> {
  return {
    overUpdates: (choice, initial, updates) =>
      merge(choice, [...initial.modules.values()], clientsOfUpdates(initial, updates)),
    overAdapters: (choice, adapters, weights, digests) =>
      merge(choice, [...adapters[0]!.modules.values()], clientsOfAdapters(adapters, weights, digests)),
  }
}

/** A strategy on factors, which merges them to one adapter of the same shape. */
function onFactors<Choice extends StrategyChoice>(
  updates: (initial: Adapter, updates: readonly Contribution[]) => Adapter,
  adapters: (adapters: readonly Adapter[], weights: readonly number[]) => Adapter,
): Strategy<Choice> {
  const byModule =
    (merged: Adapter): ModuleMerge =>
    ({ name }) =>
      new AveragedFactors(merged.modules.get(name)!)
  return {
    overUpdates: (_, initial, contributions) => byModule(updates(initial, contributions)),
    overAdapters: (_, list, weights) => byModule(adapters(list, weights)),
  }
}

type StrategyOf<Id extends StrategyId> = Strategy<Extract<StrategyChoice, { id: Id }>>

export const strategies: { readonly [Id in StrategyId]: StrategyOf<Id> } = {
  florist: onDeltas((_, _modules, clients) => (module) => florist(module, clients)),
  fedit: onFactors(fedit, feditAdapters),
  stack: onDeltas((_, _modules, clients) => (module) => stack(module, clients)),
  svd: onDeltas((_, _modules, clients) => (module) => flexLora(module, clients)),
  ffa: onFactors(ffa, ffaAdapters),
  task: onDeltas((_, _modules, clients) => (module) => taskArithmetic(module, clients)),
  ties: onDeltas((choice, modules, clients) => ties(modules, clients, choice)),
  dare: onDeltas((choice, _modules, clients) => (module) => dare(module, clients, choice)),
  median: onDeltas((_, _modules, clients) => (module) => median(module, clients)),
  'trimmed-mean': onDeltas(
    ({ trim }, _modules, clients) =>
      (module) =>
        trimmedMean(module, clients, trim),
  ),
  rfa: onDeltas((_, modules, clients) => rfa(modules, clients)),
}
