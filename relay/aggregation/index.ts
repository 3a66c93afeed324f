/**
 * From the set of accepted updates to one merged adapter: a pure function, the same to the bit whatever the
 * order of arrival, duplicates without effect, a withdrawn update gone as if never sent.
 */
import {
  type Adapter,
  type AdapterForm,
  type LoraFactors,
  loraB,
  loraR,
} from '../../models/adapters/adapter.ts'
import { clientsOfAdapters, clientsOfUpdates } from './client.ts'
import { type Clip, clipFactors } from './clip.ts'
import { type Contribution, contributionSet } from './contribution.ts'
import { adapterDigest, mergedDigest } from './digest.ts'
import { MergeError } from './errors.ts'
import { publish } from './publish.ts'
import { type RoundStart, roundStart } from './round-start.ts'
import { type Strategy, type StrategyChoice, strategies } from './strategies.ts'

export interface MergedUpdates {
  readonly adapter: Adapter
  /** Hex SHA-256, as digest.ts defines it. */
  readonly digest: string
}

export interface Round {
  readonly strategy: StrategyChoice
  /** What every client started from: the manifest's seed or start file gives it. */
  readonly initial: Adapter
  /** What the clients trained of it; `lora` where it is left out. */
  readonly form?: AdapterForm | undefined
  /** Read module by module, so their changes may be decoded as they are asked for. */
  readonly updates: readonly Contribution[]
}

/** Throws MergeError. */
export function mergeUpdates(round: Round & { readonly manifestDigest: string }): MergedUpdates {
  const adapter = mergeModules(round)
  const digests = round.updates.map(({ digest }) => digest)
  return { adapter, digest: mergedDigest(round.manifestDigest, digests, adapter) }
}

/**
 * Only these modules of the merged adapter, in the initial one's order, or all of them. A module's bits do not depend
 * on which others are asked for, so a merge may be shared out. Throws MergeError.
 */
export function mergeModules(round: Round & { readonly modules?: ReadonlySet<string> }): Adapter {
  const { strategy: choice, initial, modules } = round
  const start = roundStart(initial, round.form)
  const set = contributionSet(start, round.updates)
  const strategy = strategies[choice.id] as Strategy<StrategyChoice>
  const merge = strategy.overUpdates(choice, start, clippedUpdates(start, set, choice.clip))
  const wanted = [...initial.modules.values()].filter(({ name }) => modules?.has(name) ?? true)
  return publish(choice, wanted, merge)
}

/**
 * Merges finished adapters that share no known start, as `oneround merge` does. `weights` are example counts
 * or any other positive numbers; only their ratios matter. The order of the adapters has no effect; one that is
 * given twice counts twice. Throws MergeError.
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
  const set = adapters
    .map((adapter, k) => ({ adapter, weight: weights[k]!, digest: adapterDigest(adapter) }))
    .sort((x, y) => (x.digest === y.digest ? x.weight - y.weight : x.digest < y.digest ? -1 : 1))
  const sum = set.reduce((total, { weight }) => total + weight, 0) // sorted: the same bits in any order
  const shares = set.map(({ weight }) => weight / sum)
  const digests = set.map(({ digest }) => digest)
  const choice = merge.strategy
  const strategy = strategies[choice.id] as Strategy<StrategyChoice>
  const clipped = clippedAdapters(
    set.map(({ adapter }) => adapter),
    choice.clip,
  )
  const merged = strategy.overAdapters(choice, clipped, shares, digests)
  return publish(choice, clipped[0]!.modules.values(), merged)
}

function clippedUpdates(
  start: RoundStart,
  updates: readonly Contribution[],
  clip: Clip | undefined,
): readonly Contribution[] {
  if (clip === undefined) return updates
  const modules = [...start.adapter.modules.values()]
  const factors = clipFactors(modules, clientsOfUpdates(start, updates), clip)
  /** What a delta is linear in, so that scaling it scales the delta. */
  const linear = new Map<string, Float32Array>(
    modules.map(({ name, b, r }) => (r ? [loraR(name), r] : [loraB(name), b])),
  )
  return updates.map((update, k) => {
    const factor = factors[k]!
    if (factor === 1) return update
    const { change } = update
    return {
      ...update,
      change: {
        size: change.size,
        get(tensor) {
          const values = change.get(tensor)
          const from = linear.get(tensor)
          return from && values ? values.map((value, i) => factor * (from[i]! + value) - from[i]!) : values
        },
      },
    }
  })
}

function clippedAdapters(adapters: readonly Adapter[], clip: Clip | undefined): readonly Adapter[] {
  if (clip === undefined) return adapters
  const unweighted = adapters.map(() => 0) // a norm needs neither weight nor name
  const clients = clientsOfAdapters(adapters, unweighted, unweighted.map(String))
  const factors = clipFactors([...adapters[0]!.modules.values()], clients, clip)
  return adapters.map((adapter, k) => {
    const modules = new Map<string, LoraFactors>()
    for (const [name, module] of adapter.modules) {
      modules.set(name, { ...module, b: module.b.map((value) => factors[k]! * value) })
    }
    return { modules }
  })
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
  type Change,
  type Contribution,
  MAX_CHANGE,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
} from './contribution.ts'
export { mergedDigest } from './digest.ts'
export { MergeError, type MergeErrorCode } from './errors.ts'
export { FactorSum } from './factor-sum.ts'
export { DEFAULT_TAU } from './florist.ts'
export { gaussianSigma, type PrivacyBudget } from './gaussian.ts'
export { mergeRound, type NextRound, type RoundOrigin } from './next-round.ts'
export { noisyMean, type PrivateRound } from './noisy-mean.ts'
export { type PrivateRelease, privateRelease } from './private-release.ts'
export { type RoundStart, roundStart } from './round-start.ts'
export { RunningMerge } from './running-merge.ts'
export type { StrategyChoice, StrategyId } from './strategies.ts'
