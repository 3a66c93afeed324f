/**
 * FLoRIST: the exact weighted mean of the clients' deltas, published as one adapter of the smallest rank that
 * keeps a share tau of its energy. Ramesh et al. 2025, https://arxiv.org/abs/2506.09199
 *
 *   dW = sum p_k s_k B_k A_k,   p_k = n_k / sum n,  s_k = alpha_k / rank_k
 *   r = the smallest with sum of sigma_i², i <= r, at least tau of the sum of all
 *
 * dW is never formed (factor-stack.ts: R² (in + out) + R³ a module, R the sum of the ranks). Not linear, so it is
 * computed anew from the stored updates, in the order of their digests. Ranks may differ from client to client,
 * and do from module to module of the result. Weights: example counts.
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type FactorStack, weightedMean } from './factor-stack.ts'

/** Energy kept by default: what is cut is smaller than what 8-bit updates round away. */
export const DEFAULT_TAU = 0.999

/** The caller reduces it by tau. */
export function florist(module: AdapterModule, clients: readonly Client[]): FactorStack {
  return weightedMean(module, clients)
}
