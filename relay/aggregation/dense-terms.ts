/**
 * The leading terms of a dense matrix's singular value decomposition by the eigenvectors of its smaller Gram matrix:
 *
 *   M Mᵀ = W Λ Wᵀ,   M = sum w_i (Mᵀ w_i)ᵀ,   sigma_i = |Mᵀ w_i|
 *
 * The sum over all i is M to rounding, since W is orthogonal whatever its vectors' accuracy; cut off, it is worse than
 * the best approximation of its rank by no more than rounding of the largest sigma². Singular values below 2^-30 of
 * the matrix' norm are rounding here and left out: together they are less than what float32 factors round away.
 *
 * For sides s <= l: s² l / 2 for the Gram matrix, 6 s³ for its eigenvectors, s l a term.
 */

import { gramOfRows, type Matrix, timesTransposed, transposed } from './products.ts'
import { keptRank, type RankLimit, type Term } from './rank-limit.ts'
import { symmetricEigen } from './symmetric-eigen.ts'

/** Share of the energy below which a singular value is rounding: 2^-30, squared. */
const ROUNDING = 2 ** -60

/** `matrix` is [out, in]. */
export function leadingTermsOfDense(matrix: Matrix, limit: RankLimit): Term[] {
  const upright = matrix.rows > matrix.columns
  const short = upright ? transposed(matrix) : matrix // [s, l]
  const long = upright ? matrix : transposed(matrix) // [l, s]
  const { values, vectors } = symmetricEigen(gramOfRows(short))
  const energies = values.map((value) => Math.max(0, value))
  const total = energies.reduce((sum, energy) => sum + energy, 0)
  const s = short.rows
  const byEnergy = keptRank(energies, limit)
  // All of the energy is reached where what is left is lost in the sum's rounding: not yet all of the matrix.
  const all = (limit.tau ?? 1) === 1
  const kept = total === 0 ? 0 : all ? Math.min(s, limit.rank ?? s) : byEnergy
  const along = { rows: kept, columns: s, values: vectors.values.subarray(0, kept * s) } // [kept, s]
  const across = timesTransposed(along, long) // [kept, l]
  const terms: Term[] = []
  for (let i = 0; i < kept; i++) {
    const w = along.values.subarray(i * s, (i + 1) * s)
    const x = across.values.subarray(i * long.rows, (i + 1) * long.rows)
    const energy = x.reduce((sum, value) => sum + value * value, 0)
    if (energy <= ROUNDING * total) continue
    const root = Math.sqrt(Math.sqrt(energy))
    const onShort = w.map((value) => value * root)
    const onLong = x.map((value) => value / root)
    terms.push(upright ? { left: onLong, right: onShort } : { left: onShort, right: onLong })
  }
  return terms
}
