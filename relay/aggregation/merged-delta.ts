/**
 * What a strategy makes of one module, before it is decided how much of it is published: all of it, at whatever
 * rank that takes, or the leading part of its singular value decomposition.
 */
import type { AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import { MergeError } from './errors.ts'
import type { Columns } from './qr.ts'
import { singularParts } from './svd.ts'

export interface RankLimit {
  /** Share of the energy (the squared singular values) to keep at least, in (0, 1]; 1 where it is left out. */
  readonly tau?: number | undefined
  /** No more than this, whatever tau says; no limit where it is left out. */
  readonly rank?: number | undefined
}

export interface MergedDelta {
  /** Rounded to float32, otherwise unchanged. */
  exact(): LoraFactors
  /** The best approximation within the limit (Eckart & Young 1936), both factors of the same norm, scale 1. */
  reduced(limit: RankLimit): LoraFactors
}

export interface Term {
  /** u sqrt(sigma) */
  readonly left: Float64Array
  /** v sqrt(sigma) */
  readonly right: Float64Array
}

/** The leading terms of a matrix's singular value decomposition, as many as the limit keeps. */
export function leadingTerms(matrix: Columns, limit: RankLimit): Term[] {
  const parts = singularParts(matrix)
  const energies = parts.map(({ sigma }) => sigma * sigma)
  return parts.slice(0, keptRank(energies, limit)).map(({ sigma, scaledRight }) => {
    const root = Math.sqrt(sigma)
    // u = M v / sigma: the product is then M projected onto v, accurate even where sigma is small.
    const left = times(matrix, scaledRight).map((value) => (value / sigma / sigma) * root)
    return { left, right: scaledRight.map((value) => value / root) }
  })
}

/** Smallest count of leading energies whose sum reaches tau of all, within the rank; 0 where there are none. */
export function keptRank(energies: readonly number[], { tau = 1, rank = Infinity }: RankLimit): number {
  checkLimit(tau, rank)
  const total = energies.reduce((sum, energy) => sum + energy, 0)
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

/**
 * Terms as factors. Alpha equals the rank, so the scale is 1. A module that nobody changed gets rank 1 and zeros,
 * since PEFT knows no rank 0.
 */
export function factorsOf(module: AdapterModule, terms: readonly Term[]): LoraFactors {
  const { name, inFeatures, outFeatures } = module
  const rank = Math.max(1, terms.length)
  const a = new Float32Array(rank * inFeatures)
  const b = new Float32Array(outFeatures * rank)
  terms.forEach(({ left, right }, r) => {
    a.set(right, r * inFeatures)
    for (let o = 0; o < outFeatures; o++) b[o * rank + r] = left[o]!
  })
  return { name, inFeatures, outFeatures, rank, alpha: rank, a, b }
}

/** X v for X [m, n] as columns. */
function times(x: Columns, v: Float64Array): Float64Array {
  const out = new Float64Array(x[0]!.length)
  x.forEach((column, j) => {
    for (let i = 0; i < out.length; i++) out[i]! += column[i]! * v[j]!
  })
  return out
}
