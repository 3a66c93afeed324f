/** Every strategy by its id. Adding one is a file, a line here and one in relay/protocol/strategy.ts. */
import type { Adapter, AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import type { Strategy as RoomStrategy } from '../protocol/strategy.ts'
import { AveragedFactors } from './averaged-factors.ts'
import type { Client } from './client.ts'
import { clientsOfAdapters, clientsOfUpdates } from './client.ts'
import type { Contribution } from './contribution.ts'
import { dare } from './dare.ts'
import { fedit, feditAdapters } from './fedit.ts'
import { ffa, ffaAdapters } from './ffa.ts'
import { flexLora } from './flexlora.ts'
import { florist } from './florist.ts'
import { mergeTrainedEntries } from './frozen-form.ts'
import { loraSb } from './lora-sb.ts'
import { median, medianOf } from './median.ts'
import type { MergedDelta } from './merged-delta.ts'
import { rfa, rfaWeights } from './rfa.ts'
import type { RoundStart } from './round-start.ts'
import { stack } from './stack.ts'
import { taskArithmetic } from './task.ts'
import { ties } from './ties.ts'
import { trimmedMean, trimmedMeanOf } from './trimmed-mean.ts'

export type StrategyChoice = RoomStrategy
export type StrategyId = StrategyChoice['id']

/** What a strategy makes of one module; asked for one at a time, so that only one is held. */
export type ModuleMerge = (module: AdapterModule) => MergedDelta

export interface Strategy<Choice extends StrategyChoice> {
  /** Over a room's updates: all of one shape, sorted by digest, checked. */
  overUpdates(choice: Choice, start: RoundStart, updates: readonly Contribution[]): ModuleMerge
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
    overUpdates: (choice, start, updates) =>
      merge(choice, [...start.adapter.modules.values()], clientsOfUpdates(start, updates)),
    overAdapters: (choice, adapters, weights, digests) =>
      merge(choice, [...adapters[0]!.modules.values()], clientsOfAdapters(adapters, weights, digests)),
  }
}

/** A strategy on factors, which merges them to one adapter of the same shape. */
function onFactors<Choice extends StrategyChoice>(
  updates: (start: RoundStart, updates: readonly Contribution[]) => ModuleMerge,
  adapters: (adapters: readonly Adapter[], weights: readonly number[]) => Adapter,
): Strategy<Choice> {
  return {
    overUpdates: (_, start, contributions) => updates(start, contributions),
    overAdapters: (_, list, weights) => {
      const { modules } = adapters(list, weights)
      return ({ name }) => new AveragedFactors(modules.get(name)!)
    },
  }
}

/** A robust strategy on deltas, which in a room with frozen factors works on the numbers that are trained. */
function onTrained<Choice extends StrategyChoice>(
  deltas: Strategy<Choice>,
  rule: (
    choice: Choice,
    start: RoundStart,
    updates: readonly Contribution[],
  ) => (changes: Float64Array) => number,
): Strategy<Choice> {
  return {
    overAdapters: deltas.overAdapters,
    overUpdates: (choice, start, updates) =>
      start.form === 'lora'
        ? deltas.overUpdates(choice, start, updates)
        : mergeTrainedEntries(start, updates, rule(choice, start, updates)),
  }
}

type StrategyOf<Id extends StrategyId> = Strategy<Extract<StrategyChoice, { id: Id }>>

export const strategies: { readonly [Id in StrategyId]: StrategyOf<Id> } = {
  florist: onDeltas((_, _modules, clients) => (module) => florist(module, clients)),
  fedit: onFactors(fedit, feditAdapters),
  stack: onDeltas((_, _modules, clients) => (module) => stack(module, clients)),
  svd: onDeltas((_, _modules, clients) => (module) => flexLora(module, clients)),
  ffa: onFactors(ffa, ffaAdapters),
  'lora-sb': onFactors(loraSb, ffaAdapters),
  task: onDeltas((_, _modules, clients) => (module) => taskArithmetic(module, clients)),
  ties: onDeltas((choice, modules, clients) => ties(modules, clients, choice)),
  dare: onDeltas((choice, _modules, clients) => (module) => dare(module, clients, choice)),
  median: onTrained(
    onDeltas((_, _modules, clients) => (module) => median(module, clients)),
    () => (changes) => medianOf(changes.sort()),
  ),
  'trimmed-mean': onTrained(
    onDeltas(
      ({ trim }, _modules, clients) =>
        (module) =>
          trimmedMean(module, clients, trim),
    ),
    ({ trim }, _, updates) => {
      const mean = trimmedMeanOf(trim, updates.length)
      return (changes) => mean(changes.sort())
    },
  ),
  rfa: onTrained(
    onDeltas((_, modules, clients) => rfa(modules, clients)),
    (_, start, updates) => {
      const weights = rfaWeights([...start.adapter.modules.values()], clientsOfUpdates(start, updates))
      return (changes) => changes.reduce((sum, change, k) => sum + weights[k]! * change, 0)
    },
  ),
}
