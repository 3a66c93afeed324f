/**
 * Coordinate-wise trimmed mean of the deltas: in every entry the highest and the lowest values are left out.
 * Yin et al. 2018, https://arxiv.org/abs/1803.01498
 *
 *   dW[o, i] = mean of D_k[o, i] without the floor(trim K) smallest and the floor(trim K) largest,  trim < 1/2
 *
 * On deltas, never on factors. Unweighted, as the median. Ranks may differ. K clients of rank r:
 * out in K (r + log K) a module, one merged matrix [out, in] at a time in memory (dense-delta.ts). Where factors are
 * frozen, on FFA's B or LoRA-SB's R (frozen-form.ts).
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type DenseDelta, mergeSortedEntries } from './dense-delta.ts'
import { MergeError } from './errors.ts'
import { shareOf } from './share.ts'

export function trimmedMean(module: AdapterModule, clients: readonly Client[], trim: number): DenseDelta {
  return mergeSortedEntries(module, clients, trimmedMeanOf(trim, clients.length))
}

/** Of so many values in ascending order. Throws MergeError. */
export function trimmedMeanOf(trim: number, values: number): (ascending: Float64Array) => number {
  if (!(trim >= 0 && trim < 0.5)) {
    throw new MergeError(
      'merge/strategy',
      `trim is the share of clients left out at either end, from 0 to below 0.5, not ${trim}.`,
    )
  }
  const cut = shareOf(trim, values)
  return (ascending) => {
    let sum = 0
    for (let k = cut; k < ascending.length - cut; k++) sum += ascending[k]!
    return sum / (ascending.length - 2 * cut)
  }
}
