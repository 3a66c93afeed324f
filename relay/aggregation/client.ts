/**
 * One client's share in a merge, the same view for a room's updates and for finished adapters: its weight and, one
 * module at a time, its factors in doubles. The delta of a module is scale B A [out, in]; nobody forms it but a
 * strategy that works entry by entry, and then row by row (dense-delta.ts).
 */
import { type Adapter, type AdapterModule, loraA, loraB, loraR } from '../../models/adapters/adapter.ts'
import type { Contribution } from './contribution.ts'
import type { RoundStart } from './round-start.ts'

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
export function clientsOfUpdates({ adapter, form }: RoundStart, updates: readonly Contribution[]): Client[] {
  const examples = updates.reduce((sum, update) => sum + update.examples, 0)
  return updates.map((update) => ({
    digest: update.digest,
    weight: update.examples / examples,
    factors({ name }) {
      const { rank, alpha, outFeatures, a, b, r } = adapter.modules.get(name)!
      const trained = (start: Float32Array, tensor: string) => added(start, update.change.get(tensor)!)
      return {
        rank,
        scale: alpha / rank,
        a: form === 'lora' ? trained(a, loraA(name)) : Float64Array.from(a),
        b: r ? product(b, trained(r, loraR(name)), outFeatures, rank) : trained(b, loraB(name)),
      }
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

/** In doubles. A loop, since `Float64Array.from` with a function takes ten times as long. */
function added(start: Float32Array, change: Float32Array): Float64Array {
  const out = new Float64Array(start.length)
  for (let i = 0; i < out.length; i++) out[i] = start[i]! + change[i]!
  return out
}

/** B R [outFeatures, rank] */
function product(b: Float32Array, r: Float64Array, outFeatures: number, rank: number): Float64Array {
  const out = new Float64Array(outFeatures * rank)
  for (let o = 0; o < outFeatures; o++) {
    for (let q = 0; q < rank; q++) {
      const factor = b[o * rank + q]!
      for (let p = 0; p < rank; p++) out[o * rank + p]! += factor * r[q * rank + p]!
    }
  }
  return out
}
