/**
 * Coordinate-wise median of the deltas: up to half of the clients may send anything without moving an entry beyond
 * the others'. Yin et al. 2018, https://arxiv.org/abs/1803.01498
 *
 *   dW[o, i] = median over k of D_k[o, i],   D_k = s_k B_k A_k;   of an even number the mean of the middle two
 *
 * On deltas, never on factors: B A of medians is the median of nothing. Unweighted, since a claimed example count
 * must not buy a majority. Ranks may differ. K clients of rank r: out in K (r + log K) a module, one merged matrix
 * [out, in] at a time in memory (dense-delta.ts). Where factors are frozen, on FFA's B or LoRA-SB's R (frozen-form.ts).
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type DenseDelta, mergeSortedEntries } from './dense-delta.ts'

export function median(module: AdapterModule, clients: readonly Client[]): DenseDelta {
  return mergeSortedEntries(module, clients, medianOf)
}

/** `ascending` holds one value at least. */
export function medianOf(ascending: ArrayLike<number>): number {
  const middle = ascending.length >> 1
  return ascending.length % 2 === 1 ? ascending[middle]! : (ascending[middle - 1]! + ascending[middle]!) / 2
}
