/**
 * Singular values by one-sided Jacobi rotations (Hestenes 1958), on the triangle of a pivoted QR (Drmac &
 * Veselic 2008, https://doi.org/10.1137/050639193): M P = Q R; the rows of R are turned in pairs until all are
 * orthogonal; their lengths are then the singular values and they themselves the right singular vectors times
 * them. Pivoting brings the rows near their end and leaves only as many as the numerical rank. Chosen over the
 * bidiagonal method because it is short, accurate to the last digits of small values, indifferent to rank
 * deficiency, and, like qr.ts, uses only operations that IEEE 754 fixes, in a fixed order.
 */
import { MergeError } from './errors.ts'
import { type Columns, pivotedR } from './qr.ts'

export interface SingularPart {
  readonly sigma: number
  /** sigma times the right singular vector, [columns]. */
  readonly scaledRight: Float64Array
}

/** Pairs whose cosine is below this count as orthogonal. */
const ORTHOGONAL = 1e-15

/** Three to eight sweeps are usual; convergence is quadratic at the end. */
const MAX_SWEEPS = 60

/** The singular values above rounding, largest first. Zero matrices have none. Throws MergeError. */
export function singularParts(matrix: Columns): SingularPart[] {
  const total = matrix.reduce((sum, column) => sum + dot(column, column), 0)
  // What is this small is rounding of the rest: turning it further would chase noise for ever.
  const negligible = total * (Number.EPSILON * matrix.length) ** 2
  const { r, order } = pivotedR(matrix, negligible)
  const rows = Array.from(r[0] ?? [], (_, i) => Float64Array.from(r, (column) => column[i]!))
  makeOrthogonal(rows, negligible)
  return rows
    .map((row) => ({ sigma: Math.sqrt(dot(row, row)), scaledRight: restore(row, order) }))
    .filter(({ sigma }) => sigma * sigma > negligible)
    .sort((p, q) => q.sigma - p.sigma)
}

function makeOrthogonal(vectors: Float64Array[], negligible: number) {
  let turned = true
  for (let sweep = 0; turned; sweep++) {
    if (sweep === MAX_SWEEPS) {
      throw new MergeError(
        'merge/no-convergence',
        'The merge did not converge: an update holds extreme numbers.',
      )
    }
    turned = false
    const squares = vectors.map((vector) => dot(vector, vector))
    for (let i = 0; i < vectors.length - 1; i++) {
      for (let j = i + 1; j < vectors.length; j++) {
        if (squares[i]! <= negligible || squares[j]! <= negligible) continue
        const x = vectors[i]!
        const y = vectors[j]!
        const product = dot(x, y)
        if (Math.abs(product) <= ORTHOGONAL * Math.sqrt(squares[i]!) * Math.sqrt(squares[j]!)) continue
        turned = true
        const zeta = (squares[j]! - squares[i]!) / (2 * product)
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
        const cosine = 1 / Math.sqrt(1 + tangent * tangent)
        rotate(x, y, cosine, cosine * tangent)
        squares[i]! -= tangent * product
        squares[j]! += tangent * product
      }
    }
  }
}

function restore(row: Float64Array, order: readonly number[]): Float64Array {
  const out = new Float64Array(row.length)
  for (let j = 0; j < row.length; j++) out[order[j]!] = row[j]!
  return out
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!
  return sum
}

function rotate(x: Float64Array, y: Float64Array, cosine: number, sine: number) {
  for (let i = 0; i < x.length; i++) {
    const xi = x[i]!
    const yi = y[i]!
    x[i] = cosine * xi - sine * yi
    y[i] = sine * xi + cosine * yi
  }
}
