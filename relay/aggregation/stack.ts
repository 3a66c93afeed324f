/**
 * FLoRA: the exact weighted mean of the deltas, all factors stacked. Wang et al. 2024,
 * https://arxiv.org/abs/2409.05976
 *
 *   A = [A_1; ...; A_K],  B = [p_1 s_1 B_1, ..., p_K s_K B_K],  B A = sum p_k s_k B_k A_k,  scale 1
 *
 * Nothing is computed but the weights: time and size R (in + out), R the sum of the ranks, so the result grows
 * with every client. Ranks may differ. Weights: example counts.
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { weightedMean } from './factor-stack.ts'
import type { MergedDelta } from './merged-delta.ts'

/** In the order of the clients' digests. */
export function stack(module: AdapterModule, clients: readonly Client[]): MergedDelta {
  const mean = weightedMean(module, clients)
  return { exact: () => mean.stacked(), reduced: (limit) => mean.reduced(limit) }
}
