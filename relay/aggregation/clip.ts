/**
 * Norm clipping, before any strategy: no client's delta counts for more than a given length.
 * Sun et al. 2019 (norm thresholding), https://arxiv.org/abs/1911.07963
 *
 *   D_k <- D_k min(1, C / |D_k|),   |D_k| the L2 norm over all modules, C given or the median of the norms
 *
 * The factor goes into B, which leaves A as it is. K clients of rank r: K r² (in + out) a module; no delta is formed.
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { MergeError } from './errors.ts'
import { deltaNorms } from './gram.ts'
import { medianOf } from './median.ts'

export type Clip = number | 'median'

/** What each client's B is to be multiplied by, in (0, 1]. */
export function clipFactors(
  modules: readonly AdapterModule[],
  clients: readonly Client[],
  clip: Clip,
): number[] {
  if (clip !== 'median' && !(clip > 0 && Number.isFinite(clip))) {
    throw new MergeError('merge/strategy', `clip is a positive norm or "median", not ${clip}.`)
  }
  const norms = deltaNorms(modules, clients)
  const longest = clip === 'median' ? medianOf(Float64Array.from(norms).sort()) : clip
  return norms.map((norm) => (norm > longest ? longest / norm : 1))
}
