/**
 * The leading singular triplets of a matrix too large for a full decomposition, by randomised subspace iteration with
 * Rayleigh-Ritz (Halko, Martinsson & Tropp 2011, https://arxiv.org/abs/0909.4061, algorithm 4.4): start from random
 * directions, multiply by W Wᵀ a few times, orthonormalise, and decompose W in the small subspace left.
 *
 * Float64 throughout and one order of sums: the same matrix gives the same bits. 2 (2 iterations + 2) k out in
 * operations for k = rank + oversampling directions.
 */
import { RandomStream } from './random.ts'

/** Directions beyond the rank: they take what the iteration has not yet separated. */
const OVERSAMPLING = 8
/** Each squares the ratio of neighbouring singular values; flat spectra of trained weights need no more. */
const ITERATIONS = 2
/** Jacobi converges quadratically: 10 sweeps are plenty for 100 rows. */
const MAX_SWEEPS = 30

export interface LeadingSingular {
  /** Falling; 0 where the matrix has fewer than `rank` directions. */
  readonly values: Float64Array
  /** [rows, rank] row-major, columns of length 1 (or 0 with their value). */
  readonly left: Float32Array
  /** [rank, columns] row-major, rows of length 1 (or 0 with their value). */
  readonly right: Float32Array
}

/** The sign of each pair makes the largest entry of the left vector positive. */
export function leadingSingular(
  matrix: Float32Array,
  rows: number,
  columns: number,
  rank: number,
): LeadingSingular {
  if (matrix.length !== rows * columns)
    throw new RangeError(`[${rows}, ${columns}] of ${matrix.length} numbers`)
  const width = Math.min(rank + OVERSAMPLING, rows, columns)
  const random = new RandomStream('leading singular vectors', `${rows} x ${columns}`)
  let right: Float64Array = Float64Array.from({ length: columns * width }, () => 2 * random.nextFloat() - 1) // [columns, width]
  let left: Float64Array = new Float64Array(0)
  for (let i = 0; i <= ITERATIONS; i++) {
    left = orthonormal(times(matrix, right, rows, columns, width), rows, width) // [rows, width]
    if (i < ITERATIONS) {
      right = orthonormal(timesTransposed(matrix, left, rows, columns, width), columns, width)
    }
  }
  const projected = timesTransposed(matrix, left, rows, columns, width) // [columns, width] = Wᵀ Q
  const { values, vectors } = symmetricEigen(gram(projected, columns, width), width)
  return {
    values: Float64Array.from({ length: rank }, (_, i) =>
      i < width ? Math.sqrt(Math.max(0, values[i])) : 0,
    ),
    ...pairs(left, projected, vectors, values, { rows, columns, width, rank }),
  }
}

/** Back from the subspace: left = Q v, right = (Wᵀ Q) v / σ. */
function pairs(
  basis: Float64Array,
  projected: Float64Array,
  vectors: Float64Array,
  values: Float64Array,
  { rows, columns, width, rank }: { rows: number; columns: number; width: number; rank: number },
) {
  const left = new Float32Array(rows * rank)
  const right = new Float32Array(rank * columns)
  // Below this it is rounding of the largest one.
  const least = Math.sqrt(Math.max(0, values[0])) * 1e-7
  for (let r = 0; r < Math.min(rank, width); r++) {
    const sigma = Math.sqrt(Math.max(0, values[r]))
    if (!(sigma > least)) continue
    const along = (from: Float64Array, row: number) => {
      let sum = 0
      for (let j = 0; j < width; j++) sum += from[row * width + j] * vectors[j * width + r]
      return sum
    }
    let largest = 0
    for (let row = 0; row < rows; row++) {
      const value = along(basis, row)
      if (Math.abs(value) > Math.abs(largest)) largest = value
      left[row * rank + r] = value
    }
    const sign = largest < 0 ? -1 : 1
    for (let row = 0; row < rows; row++) left[row * rank + r] *= sign
    for (let column = 0; column < columns; column++) {
      right[r * columns + column] = (sign * along(projected, column)) / sigma
    }
  }
  return { left, right }
}

/** W X: [rows, columns] · [columns, width]. */
function times(w: Float32Array, x: Float64Array, rows: number, columns: number, width: number): Float64Array {
  const y = new Float64Array(rows * width)
  const sum = new Float64Array(width)
  for (let row = 0; row < rows; row++) {
    sum.fill(0)
    for (let column = 0; column < columns; column++) {
      const entry = w[row * columns + column]
      const at = column * width
      for (let j = 0; j < width; j++) sum[j] += entry * x[at + j]
    }
    y.set(sum, row * width)
  }
  return y
}

/** Wᵀ Y: [columns, rows] · [rows, width]. */
function timesTransposed(
  w: Float32Array,
  y: Float64Array,
  rows: number,
  columns: number,
  width: number,
): Float64Array {
  const x = new Float64Array(columns * width)
  for (let row = 0; row < rows; row++) {
    const from = row * width
    for (let column = 0; column < columns; column++) {
      const entry = w[row * columns + column]
      const at = column * width
      for (let j = 0; j < width; j++) x[at + j] += entry * y[from + j]
    }
  }
  return x
}

/** Columns made orthonormal in place, by Gram-Schmidt done twice; a column that depends on earlier ones becomes 0. */
function orthonormal(x: Float64Array, rows: number, width: number): Float64Array {
  const dot = (i: number, j: number) => {
    let sum = 0
    for (let at = 0; at < rows * width; at += width) sum += x[at + i] * x[at + j]
    return sum
  }
  for (let j = 0; j < width; j++) {
    const before = Math.sqrt(dot(j, j))
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        const share = dot(i, j)
        for (let at = 0; at < rows * width; at += width) x[at + j] -= share * x[at + i]
      }
    }
    const length = Math.sqrt(dot(j, j))
    const scale = length > before * 1e-12 ? 1 / length : 0
    for (let at = 0; at < rows * width; at += width) x[at + j] *= scale
  }
  return x
}

/** Xᵀ X [width, width]. */
function gram(x: Float64Array, rows: number, width: number): Float64Array {
  const g = new Float64Array(width * width)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) g[i * width + j] += x[row * width + i] * x[row * width + j]
    }
  }
  return g
}

/** Jacobi's method: eigenvalues falling, eigenvectors as columns. */
function symmetricEigen(g: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const v = new Float64Array(n * n)
  for (let i = 0; i < n; i++) v[i * n + i] = 1
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let off = 0
    let whole = 0
    for (let i = 0; i < n * n; i++) {
      whole += g[i] * g[i]
      if (i % (n + 1) !== 0) off += g[i] * g[i]
    }
    if (off <= whole * 1e-30) break
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(g, v, n, p, q)
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => g[j * n + j] - g[i * n + i] || i - j)
  const vectors = new Float64Array(n * n)
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) vectors[row * n + column] = v[row * n + order[column]]
  }
  return { values: Float64Array.from(order, (i) => g[i * n + i]), vectors }
}

/** Makes g[p, q] zero by a rotation of both sides, and notes it in v. */
function rotate(g: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const between = g[p * n + q]
  if (between === 0) return
  const theta = (g[q * n + q] - g[p * n + p]) / (2 * between)
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
  const c = 1 / Math.sqrt(t * t + 1)
  const s = t * c
  for (let i = 0; i < n; i++) {
    const x = g[i * n + p]
    const y = g[i * n + q]
    g[i * n + p] = c * x - s * y
    g[i * n + q] = s * x + c * y
  }
  for (let i = 0; i < n; i++) {
    const x = g[p * n + i]
    const y = g[q * n + i]
    g[p * n + i] = c * x - s * y
    g[q * n + i] = s * x + c * y
    const a = v[i * n + p]
    const b = v[i * n + q]
    v[i * n + p] = c * a - s * b
    v[i * n + q] = s * a + c * b
  }
}
