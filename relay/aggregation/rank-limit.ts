/** How much of a singular value decomposition is published: by rank, by energy, or all of it. */
import { MergeError } from './errors.ts'

export interface RankLimit {
  /** Share of the energy (the squared singular values) to keep at least, in (0, 1]; 1 where it is left out. */
  readonly tau?: number | undefined
  /** No more than this, whatever tau says; no limit where it is left out. */
  readonly rank?: number | undefined
}

/** One term of the decomposition, sigma u vᵀ, its size shared by both sides. */
export interface Term {
  /** u sqrt(sigma) */
  readonly left: Float64Array
  /** v sqrt(sigma) */
  readonly right: Float64Array
}

/** Smallest count of leading energies whose sum reaches tau of all, within the rank; 0 where there are none. */
export function keptRank(energies: ArrayLike<number>, { tau = 1, rank = Infinity }: RankLimit): number {
  checkLimit(tau, rank)
  let total = 0
  for (let r = 0; r < energies.length; r++) total += energies[r]!
  let kept = 0
  for (let r = 0; r < energies.length; r++) {
    kept += energies[r]!
    if (r + 1 === rank || kept >= tau * total) return r + 1
  }
  return energies.length
}

function checkLimit(tau: number, rank: number) {
  if (!(tau > 0 && tau <= 1)) {
    throw new MergeError(
      'merge/strategy',
      `tau is the share of energy kept, above 0 and at most 1, not ${tau}.`,
    )
  }
  if (!(rank === Infinity || (Number.isInteger(rank) && rank > 0))) {
    throw new MergeError(
      'merge/strategy',
      `The rank to publish is a whole number and at least 1, not ${rank}.`,
    )
  }
}
