/**
 * Fed-SB: clients train a core R [r, r] alone, between an A and a B that are the same for all and stay as they are, so
 * that averaging R is exact. Singhal et al. 2025, https://arxiv.org/abs/2502.15436
 *
 *   dW = s B (sum p_k R_k) A = sum p_k s B R_k A
 *
 * Published as plain LoRA, with B R̄ for B. Linear: K r² a module, or r² for one client more or less (factor-sum.ts),
 * and r² out for B R̄. One rank and alpha for all. Weights: example counts. A finished adapter has its core folded in
 * already: the mean of B R_k over one A is B R̄, as FFA's (ffa.ts).
 */
import type { Contribution } from './contribution.ts'
import { MergeError } from './errors.ts'
import { fedit } from './fedit.ts'
import type { RoundStart } from './round-start.ts'
import type { ModuleMerge } from './strategies.ts'

export function loraSb(start: RoundStart, updates: readonly Contribution[]): ModuleMerge {
  if (start.form !== 'lora-sb') {
    throw new MergeError(
      'merge/strategy',
      `lora-sb averages the cores R, and the clients of this room train ${start.form === 'ffa' ? 'B: merge by ffa' : 'A and B: merge by florist'}.`,
    )
  }
  return fedit(start, updates)
}
