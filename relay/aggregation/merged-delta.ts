/**
 * What a strategy makes of one module, before it is decided how much of it is published: all of it, at whatever
 * rank that takes, or the leading part of its singular value decomposition.
 */
import type { AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import { leadingTermsOfDense } from './dense-terms.ts'
import { matrixOf, transposed } from './products.ts'
import type { Columns } from './qr.ts'
import { keptRank, type RankLimit, type Term } from './rank-limit.ts'
import { singularParts } from './svd.ts'

export interface MergedDelta {
  /** Rounded to float32, otherwise unchanged. */
  exact(): LoraFactors
  /** The best approximation within the limit (Eckart & Young 1936), both factors of the same norm, scale 1. */
  reduced(limit: RankLimit): LoraFactors
}

/**
 * Up to so many columns one-sided Jacobi takes (svd.ts), which finds the least singular values to their last digits;
 * beyond, its sweeps take seconds, and dense-terms.ts takes over.
 */
export const FEW = 96

/** The leading terms of a matrix's singular value decomposition, as many as the limit keeps. */
export function leadingTerms(matrix: Columns, limit: RankLimit): Term[] {
  if (Math.min(matrix.length, matrix[0]?.length ?? 0) > FEW) {
    return leadingTermsOfDense(transposed(matrixOf(matrix)), limit)
  }
  const parts = singularParts(matrix)
  const energies = parts.map(({ sigma }) => sigma * sigma)
  return parts.slice(0, keptRank(energies, limit)).map(({ sigma, scaledRight }) => {
    const root = Math.sqrt(sigma)
    // u = M v / sigma: the product is then M projected onto v, accurate even where sigma is small.
    const left = times(matrix, scaledRight).map((value) => (value / sigma / sigma) * root)
    return { left, right: scaledRight.map((value) => value / root) }
  })
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
