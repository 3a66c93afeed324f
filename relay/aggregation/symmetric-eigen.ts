/**
 * All eigenvalues and eigenvectors of a symmetric matrix: Householder tridiagonalisation, then implicit QL with
 * Wilkinson's shifts (Golub & Van Loan, Matrix Computations, 8.3; Bowdler, Martin, Reinsch & Wilkinson 1968,
 * https://doi.org/10.1007/BF02219773). Backward stable: eigenvalues are off by some rounding units of the largest, the
 * vectors are orthogonal to rounding. Written here for the reason of qr.ts: only + - * / and sqrt, in a fixed order.
 *
 * Time 6 n³ or so (a third of a second at n 576), memory four matrices [n, n].
 */
import { MergeError } from './errors.ts'
import { type Matrix, zeros } from './products.ts'

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array
  /** [n, n]: row i belongs to values[i], of length 1. */
  readonly vectors: Matrix
}

/** Two or fewer iterations an eigenvalue are usual. */
const MAX_ITERATIONS = 60

/** `matrix` is overwritten; only its lower triangle is read. */
export function symmetricEigen(matrix: Matrix): Eigen {
  const n = matrix.rows
  const { diagonal, beside, vectors } = tridiagonalise(matrix)
  for (const sweep of implicitQl(diagonal, beside)) rotateRows(vectors, sweep)
  const order = Array.from(diagonal, (_, i) => i).sort((i, j) => diagonal[j]! - diagonal[i]! || i - j)
  const sorted = zeros(n, n)
  order.forEach((from, to) => {
    sorted.values.set(vectors.values.subarray(from * n, (from + 1) * n), to * n)
  })
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors: sorted }
}

interface Tridiagonal {
  readonly diagonal: Float64Array
  /** beside[i] couples i and i + 1; the last is zero. */
  readonly beside: Float64Array
  /** Qᵀ [n, n]: matrix = Q T Qᵀ. */
  readonly vectors: Matrix
}

/**
 * From the last row up, each row's entries left of the one beside the diagonal are reflected away:
 * A <- (I - v vᵀ) A (I - v vᵀ) = A - v wᵀ - w vᵀ,  w = p - (vᵀ p / 2) v,  p = A v. The update of one reflection and the
 * product A v of the next share one pass over the lower triangle.
 */
function tridiagonalise({ rows: n, values: a }: Matrix): Tridiagonal {
  const diagonal = new Float64Array(n)
  const beside = new Float64Array(n)
  /** Reflector k, with |v|² = 2 or zero, is kept in row k, columns 0 to k - 1. */
  let v: Float64Array = new Float64Array(n)
  let w: Float64Array = new Float64Array(n)
  for (let k = n - 1; k >= 0; k--) {
    const row = a.subarray(k * n, k * n + k + 1)
    for (let j = 0; j <= k; j++) row[j]! -= v[k]! * w[j]! + w[k]! * v[j]!
    diagonal[k] = row[k]!
    if (k === 0) break
    const next = new Float64Array(n)
    beside[k - 1] = intoReflector(row.subarray(0, k))
    next.set(row.subarray(0, k))
    const p = updateAndMultiply(a, n, k, v, w, next)
    let along = 0
    for (let j = 0; j < k; j++) along += next[j]! * p[j]!
    along /= 2
    for (let j = 0; j < k; j++) p[j]! -= along * next[j]!
    v = next
    w = p
  }
  return { diagonal, beside, vectors: accumulate(a, n) }
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

/** Rows 0 to k - 1 of the lower triangle become A - v wᵀ - w vᵀ; gives their product with `x`, zero from k on. */
function updateAndMultiply(
  a: Float64Array,
  n: number,
  k: number,
  v: Float64Array,
  w: Float64Array,
  x: Float64Array,
): Float64Array {
  const p = new Float64Array(n)
  let i = 0
  for (; i + 4 <= k; i += 4) {
    const r0 = i * n
    const r1 = r0 + n
    const r2 = r1 + n
    const r3 = r2 + n
    const v0 = v[i]!
    const v1 = v[i + 1]!
    const v2 = v[i + 2]!
    const v3 = v[i + 3]!
    const w0 = w[i]!
    const w1 = w[i + 1]!
    const w2 = w[i + 2]!
    const w3 = w[i + 3]!
    const x0 = x[i]!
    const x1 = x[i + 1]!
    const x2 = x[i + 2]!
    const x3 = x[i + 3]!
    let s0 = 0
    let s1 = 0
    let s2 = 0
    let s3 = 0
    for (let j = 0; j < i; j++) {
      const vj = v[j]!
      const wj = w[j]!
      const xj = x[j]!
      const a0 = a[r0 + j]! - (v0 * wj + w0 * vj)
      const a1 = a[r1 + j]! - (v1 * wj + w1 * vj)
      const a2 = a[r2 + j]! - (v2 * wj + w2 * vj)
      const a3 = a[r3 + j]! - (v3 * wj + w3 * vj)
      a[r0 + j] = a0
      a[r1 + j] = a1
      a[r2 + j] = a2
      a[r3 + j] = a3
      s0 += a0 * xj
      s1 += a1 * xj
      s2 += a2 * xj
      s3 += a3 * xj
      p[j]! += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
    }
    p[i] = s0
    p[i + 1] = s1
    p[i + 2] = s2
    p[i + 3] = s3
    for (let row = i; row < i + 4; row++) updateRow(a, n, row, i, v, w, x, p)
  }
  for (; i < k; i++) updateRow(a, n, i, 0, v, w, x, p)
  return p
}

/** One row from column `from` to its diagonal. */
function updateRow(
  a: Float64Array,
  n: number,
  row: number,
  from: number,
  v: Float64Array,
  w: Float64Array,
  x: Float64Array,
  p: Float64Array,
): void {
  const at = row * n
  for (let j = from; j <= row; j++) {
    const value = a[at + j]! - (v[row]! * w[j]! + w[row]! * v[j]!)
    a[at + j] = value
    p[row]! += value * x[j]!
    if (j < row) p[j]! += value * x[row]!
  }
}

/** Qᵀ as rows, from the reflectors in the rows of `a`: row i is the unit vector until reflector i + 1 turns it. */
function accumulate(a: Float64Array, n: number): Matrix {
  const out = zeros(n, n)
  for (let i = 0; i < n; i++) out.values[i * n + i] = 1
  let row = 0
  for (; row + 4 <= n; row += 4) {
    for (let one = row; one < row + 3; one++) {
      for (let k = one + 1; k < row + 4; k++) reflectRow(out.values, n, one, a, k)
    }
    for (let k = row + 4; k < n; k++) reflectFourRows(out.values, n, row, a, k)
  }
  for (; row < n; row++) for (let k = row + 1; k < n; k++) reflectRow(out.values, n, row, a, k)
  return out
}

function reflectRow(q: Float64Array, n: number, row: number, a: Float64Array, k: number): void {
  const at = row * n
  const from = k * n
  let sum = 0
  for (let j = 0; j < k; j++) sum += q[at + j]! * a[from + j]!
  for (let j = 0; j < k; j++) q[at + j]! -= sum * a[from + j]!
}

function reflectFourRows(q: Float64Array, n: number, row: number, a: Float64Array, k: number): void {
  const r0 = row * n
  const r1 = r0 + n
  const r2 = r1 + n
  const r3 = r2 + n
  const from = k * n
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  for (let j = 0; j < k; j++) {
    const x = a[from + j]!
    s0 += q[r0 + j]! * x
    s1 += q[r1 + j]! * x
    s2 += q[r2 + j]! * x
    s3 += q[r3 + j]! * x
  }
  for (let j = 0; j < k; j++) {
    const x = a[from + j]!
    q[r0 + j]! -= s0 * x
    q[r1 + j]! -= s1 * x
    q[r2 + j]! -= s2 * x
    q[r3 + j]! -= s3 * x
  }
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
function rotateRows({ columns: width, values: z }: Matrix, { low, high, cosines, sines }: Sweep): void {
  let i = high - 1 - low
  for (; i >= 2; i -= 3) {
    const c0 = cosines[i]!
    const s0 = sines[i]!
    const c1 = cosines[i - 1]!
    const s1 = sines[i - 1]!
    const c2 = cosines[i - 2]!
    const s2 = sines[i - 2]!
    const at = (low + i - 2) * width
    for (let k = at; k < at + width; k++) {
      const w = z[k]!
      const x = z[k + width]!
      const y = z[k + 2 * width]!
      const last = z[k + 3 * width]!
      z[k + 3 * width] = s0 * y + c0 * last
      const y1 = c0 * y - s0 * last
      z[k + 2 * width] = s1 * x + c1 * y1
      const x1 = c1 * x - s1 * y1
      z[k + width] = s2 * w + c2 * x1
      z[k] = c2 * w - s2 * x1
    }
  }
  for (; i >= 0; i--) {
    const c = cosines[i]!
    const s = sines[i]!
    const at = (low + i) * width
    for (let k = at; k < at + width; k++) {
      const x = z[k]!
      const y = z[k + width]!
      z[k + width] = s * x + c * y
      z[k] = c * x - s * y
    }
  }
}
