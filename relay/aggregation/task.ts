/**
 * Task arithmetic: the mean of the deltas, times lambda. Ilharco et al. 2023, https://arxiv.org/abs/2212.04089
 *
 *   dW = lambda sum p_k D_k,   D_k = s_k B_k A_k
 *
 * Clients that learned different things want lambda above 1, up to their number (the sum). It is published at its
 * own rank, at most R, the sum of the ranks: R² (in + out) + R³ a module (factor-stack.ts). Ranks may differ.
 * Weights: example counts.
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type FactorStack, weightedMean } from './factor-stack.ts'

/** The caller scales it by lambda, which every strategy takes. */
export function taskArithmetic(module: AdapterModule, clients: readonly Client[]): FactorStack {
  return weightedMean(module, clients)
}
