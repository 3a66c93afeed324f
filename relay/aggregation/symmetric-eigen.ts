/**
 * All eigenvalues and eigenvectors of a symmetric matrix: Householder tridiagonalisation, then implicit QL with
 * Wilkinson's shifts (Golub & Van Loan, Matrix Computations, 8.3; Bowdler, Martin, Reinsch & Wilkinson 1968,
 * https://doi.org/10.1007/BF02219773). Backward stable: eigenvalues are off by some rounding units of the largest, the
 * vectors are orthogonal to rounding. Written here for the reason of qr.ts: only + - * / and sqrt, in a fixed order.
 *
 * Time 6 n³ or so, memory three matrices [n, n], two of them the kernels'.
 */
import { MergeError } from './errors.ts'
import { type Kernels, kernels } from './kernels/kernels.ts'
import { type Matrix, zeros } from './products.ts'

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array
  /** [n, n]: row i belongs to values[i], of length 1. */
  readonly vectors: Matrix
}

/** Two or fewer iterations an eigenvalue are usual. */
const MAX_ITERATIONS = 60

/** `matrix` is left as it was; only its lower triangle is read. */
export function symmetricEigen(matrix: Matrix): Eigen {
  const n = matrix.rows
  const bench = workbench(matrix)
  const { diagonal, beside } = tridiagonalise(bench)
  accumulate(bench)
  const sweeps = implicitQl(diagonal, beside)
  // Rotations of rows leave columns to themselves: so many at a time stay near the processor through all of them.
  for (let first = 0; first < bench.width; first += PANEL) {
    const columns = Math.min(PANEL, bench.width - first)
    for (const sweep of sweeps) rotateRows(bench, first, columns, sweep)
  }
  const order = Array.from(diagonal, (_, i) => i).sort((i, j) => diagonal[j]! - diagonal[i]! || i - j)
  const sorted = zeros(n, n)
  order.forEach((from, to) => {
    sorted.values.set(row(bench.vectors, bench.width, from).subarray(0, n), to * n)
  })
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors: sorted }
}

/** Columns rotated at a time; even. */
const PANEL = 64

/** Everything lies in the kernels' memory, in rows of `width`, which is even. */
interface Workbench {
  readonly n: number
  readonly width: number
  readonly kernels: Kernels
  /** [n, width] the matrix, later the reflectors */
  readonly a: Float64Array
  /** [n, width] Qᵀ, later the eigenvectors: matrix = Q T Qᵀ */
  readonly vectors: Float64Array
  /** [width] each, and four sums */
  readonly vector: (index: 0 | 1 | 2 | 3) => Float64Array
  readonly sums: Float64Array
}

function workbench({ rows: n, values }: Matrix): Workbench {
  const width = n + (n % 2)
  const shared = kernels(8 * (2 * n * width + 4 * width + 4))
  const { buffer } = shared.memory
  const place = (from: number, length: number) => new Float64Array(buffer, 8 * from, length).fill(0)
  const a = place(0, n * width)
  for (let i = 0; i < n; i++) a.set(values.subarray(i * n, i * n + i + 1), i * width)
  const vectors = place(n * width, n * width)
  const four = [0, 1, 2, 3].map((i) => place(2 * n * width + i * width, width))
  const sums = place(2 * n * width + 4 * width, 4)
  return { n, width, kernels: shared, a, vectors, vector: (index) => four[index]!, sums }
}

const row = (matrix: Float64Array, width: number, i: number) => matrix.subarray(i * width, (i + 1) * width)

interface Tridiagonal {
  readonly diagonal: Float64Array
  /** beside[i] couples i and i + 1; the last is zero. */
  readonly beside: Float64Array
}

/**
 * From the last row up, each row's entries left of the one beside the diagonal are reflected away:
 * A <- (I - v vᵀ) A (I - v vᵀ) = A - v wᵀ - w vᵀ,  w = p - (vᵀ p / 2) v,  p = A v. The update of one reflection and the
 * product A v of the next share one pass over the lower triangle. Reflector k, with |v|² = 2 or zero, stays in row k,
 * columns 0 to k - 1, with zeros behind it.
 */
function tridiagonalise(bench: Workbench): Tridiagonal {
  const { n, width, a, vector } = bench
  const diagonal = new Float64Array(n)
  const beside = new Float64Array(n)
  let [v, w, x, p] = [vector(0), vector(1), vector(2), vector(3)]
  for (let k = n - 1; k >= 0; k--) {
    const last = row(a, width, k)
    for (let j = 0; j <= k; j++) last[j]! -= v[k]! * w[j]! + w[k]! * v[j]!
    diagonal[k] = last[k]!
    last[k] = 0
    if (k === 0) break
    beside[k - 1] = intoReflector(last.subarray(0, k))
    x.set(last)
    updateAndMultiply(bench, k, v, w, x, p)
    let along = 0
    for (let j = 0; j < k; j++) along += x[j]! * p[j]!
    along /= 2
    for (let j = 0; j < k; j++) p[j]! -= along * x[j]!
    ;[v, w, x, p] = [x, p, v, w]
  }
  return { diagonal, beside }
}

/** `x` becomes the v of I - v vᵀ that turns it into zeros but for its last entry, which is returned; |v|² = 2, or 0. */
function intoReflector(x: Float64Array): number {
  const last = x.length - 1
  const head = x[last]!
  let squares = 0
  for (let j = 0; j < last; j++) squares += x[j]! * x[j]!
  if (squares === 0) {
    x.fill(0)
    return head
  }
  const norm = Math.sqrt(head * head + squares)
  // Away from the head's sign, so that nothing cancels.
  const image = head < 0 ? norm : -norm
  x[last] = head - image
  const length = Math.sqrt((squares + x[last]! * x[last]!) / 2)
  for (let j = 0; j <= last; j++) x[j]! /= length
  return image
}

/** Rows 0 to k - 1 of the lower triangle become A - v wᵀ - w vᵀ; `p` their product with `x`, zero from k on. */
function updateAndMultiply(
  { kernels, width, a, sums }: Workbench,
  k: number,
  v: Float64Array,
  w: Float64Array,
  x: Float64Array,
  p: Float64Array,
): void {
  p.fill(0)
  let i = 0
  for (; i + 4 <= k; i += 4) {
    kernels.updateFourRows(
      a.byteOffset + 8 * i * width,
      8 * width,
      i / 2,
      v.byteOffset,
      w.byteOffset,
      x.byteOffset,
      p.byteOffset,
      8 * i,
      sums.byteOffset,
    )
    p.set(sums, i)
    for (let one = i; one < i + 4; one++) updateRow(row(a, width, one), one, i, v, w, x, p)
  }
  for (; i < k; i++) updateRow(row(a, width, i), i, 0, v, w, x, p)
}

/** Row i from column `from` to its diagonal. */
function updateRow(
  values: Float64Array,
  i: number,
  from: number,
  v: Float64Array,
  w: Float64Array,
  x: Float64Array,
  p: Float64Array,
): void {
  for (let j = from; j <= i; j++) {
    const value = values[j]! - (v[i]! * w[j]! + w[i]! * v[j]!)
    values[j] = value
    p[i]! += value * x[j]!
    if (j < i) p[j]! += value * x[i]!
  }
}

/** Qᵀ as rows, from the reflectors in the rows of `a`: row i is the unit vector until reflector i + 1 turns it. */
function accumulate({ kernels, n, width, a, vectors }: Workbench): void {
  for (let i = 0; i < n; i++) vectors[i * width + i] = 1
  let first = 0
  for (; first + 4 <= n; first += 4) {
    for (let one = first; one < first + 3; one++) {
      for (let k = one + 1; k < first + 4; k++) reflect(row(vectors, width, one), row(a, width, k), k)
    }
    const from = vectors.byteOffset + 8 * first * width
    for (let k = first + 4; k < n; k++) {
      kernels.reflectFourRows(from, 8 * width, Math.ceil(k / 2), a.byteOffset + 8 * k * width)
    }
  }
  for (; first < n; first++) {
    for (let k = first + 1; k < n; k++) reflect(row(vectors, width, first), row(a, width, k), k)
  }
}

function reflect(q: Float64Array, v: Float64Array, length: number): void {
  let sum = 0
  for (let j = 0; j < length; j++) sum += q[j]! * v[j]!
  for (let j = 0; j < length; j++) q[j]! -= sum * v[j]!
}

/** Rotations of rows (i, i + 1) for i from `high` - 1 down to `low`, in the order in which they are to be done. */
interface Sweep {
  readonly low: number
  readonly high: number
  /** By i - low. */
  readonly cosines: Float64Array
  readonly sines: Float64Array
}

/** Turns the tridiagonal matrix into its eigenvalues on `d`; gives the rotations that turn the vectors with it. */
function implicitQl(d: Float64Array, e: Float64Array): Sweep[] {
  const n = d.length
  const sweeps: Sweep[] = []
  const cosines = new Float64Array(n)
  const sines = new Float64Array(n)
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l
      while (m < n - 1) {
        const scale = Math.abs(d[m]!) + Math.abs(d[m + 1]!)
        if (Math.abs(e[m]!) <= Number.EPSILON * scale) break
        m++
      }
      if (m === l) break
      if (iteration === MAX_ITERATIONS) {
        throw new MergeError(
          'merge/no-convergence',
          'The merge did not converge: an update holds extreme numbers.',
        )
      }
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!)
      let r = Math.sqrt(g * g + 1)
      g = d[m]! - d[l]! + e[l]! / (g + (g < 0 ? -r : r))
      let s = 1
      let c = 1
      let p = 0
      let i = m - 1
      for (; i >= l; i--) {
        const f = s * e[i]!
        const b = c * e[i]!
        r = Math.sqrt(f * f + g * g)
        e[i + 1] = r
        if (r === 0) break
        s = f / r
        c = g / r
        g = d[i + 1]! - p
        const t = (d[i]! - g) * s + 2 * c * b
        p = s * t
        d[i + 1] = g + p
        g = c * t - b
        cosines[i] = c
        sines[i] = s
      }
      const low = i + 1
      if (low < m) sweeps.push({ low, high: m, cosines: cosines.slice(low, m), sines: sines.slice(low, m) })
      if (i >= l) {
        // The matrix falls apart here: go on with the part that is left.
        d[i + 1]! -= p
      } else {
        d[l]! -= p
        e[l] = g
      }
      e[m] = 0
    }
  }
  return sweeps
}

/** Three rotations in one pass over their four rows. */
function rotateRows(
  { kernels, width, vectors }: Workbench,
  first: number,
  columns: number,
  { low, high, cosines, sines }: Sweep,
): void {
  const from = vectors.byteOffset + 8 * first
  let i = high - 1 - low
  for (; i >= 2; i -= 3) {
    kernels.rotateThree(
      from + 8 * (low + i - 2) * width,
      8 * width,
      columns / 2,
      cosines[i]!,
      sines[i]!,
      cosines[i - 1]!,
      sines[i - 1]!,
      cosines[i - 2]!,
      sines[i - 2]!,
    )
  }
  for (; i >= 0; i--) {
    const c = cosines[i]!
    const s = sines[i]!
    const upper = row(vectors, width, low + i)
    const lower = row(vectors, width, low + i + 1)
    for (let k = first; k < first + columns; k++) {
      const x = upper[k]!
      const y = lower[k]!
      lower[k] = s * x + c * y
      upper[k] = c * x - s * y
    }
  }
}
