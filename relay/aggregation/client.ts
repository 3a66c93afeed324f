/**
 * One client's share in a merge, the same view for a room's updates and for finished adapters: its weight and, one
 * module at a time, its factors in doubles. The delta of a module is scale B A [out, in]; nobody forms it but a
 * strategy that works entry by entry, and then row by row (dense-delta.ts).
 */
import { type Adapter, type AdapterModule, loraA, loraB } from '../../models/adapters/adapter.ts'
import type { Contribution } from './contribution.ts'

export interface Factors {
  readonly rank: number
  /** alpha / rank */
  readonly scale: number
  /** [rank, in], row-major */
  readonly a: Float64Array
  /** [out, rank], row-major */
  readonly b: Float64Array
}

export interface Client {
  /** Of the update's bytes, or of the adapter's numbers: what a seeded mask belongs to. */
  readonly digest: string
  /** Share of all examples; the clients' weights sum to 1. */
  readonly weight: number
  /** Computed anew at each call, so that one module at a time is held. */
  factors(module: AdapterModule): Factors
}

/** `updates` sorted by digest, as contributionSet gives them; so are the clients. */
export function clientsOfUpdates(initial: Adapter, updates: readonly Contribution[]): Client[] {
  const examples = updates.reduce((sum, update) => sum + update.examples, 0)
  return updates.map((update) => ({
    digest: update.digest,
    weight: update.examples / examples,
    factors({ name }) {
      const start = initial.modules.get(name)!
      const a = Float64Array.from(update.change.get(loraA(name))!, (change, i) => start.a[i]! + change)
      const b = Float64Array.from(update.change.get(loraB(name))!, (change, i) => start.b[i]! + change)
      return { rank: start.rank, scale: start.alpha / start.rank, a, b }
    },
  }))
}

/** `weights` sum to 1. */
export function clientsOfAdapters(
  adapters: readonly Adapter[],
  weights: readonly number[],
  digests: readonly string[],
): Client[] {
  return adapters.map((adapter, k) => ({
    digest: digests[k]!,
    weight: weights[k]!,
    factors({ name }) {
      const { rank, alpha, a, b } = adapter.modules.get(name)!
      return { rank, scale: alpha / rank, a: Float64Array.from(a), b: Float64Array.from(b) }
    },
  }))
}
