/**
 * `svd`: the exact weighted mean of the deltas, cut to its best approximation of one given rank, as FlexLoRA
 * hands it to clients of that rank. Bai et al. 2024, https://arxiv.org/abs/2402.11505
 *
 *   dW = sum p_k s_k B_k A_k = U S Vᵀ,   B = U_r sqrt(S_r),  A = sqrt(S_r) V_rᵀ
 *
 * The paper decomposes the dense dW; here it is never formed (factor-stack.ts: R² (in + out) + R³ a module, R the
 * sum of the ranks), with the same result. Ranks may differ from client to client. Weights: example counts.
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type FactorStack, weightedMean } from './factor-stack.ts'

/** The caller reduces it to the rank. */
export function flexLora(module: AdapterModule, clients: readonly Client[]): FactorStack {
  return weightedMean(module, clients)
}
