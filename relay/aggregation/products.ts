/**
 * Products of dense matrices in doubles, the arithmetic of every merge that has more clients than a matrix has room
 * for. Every entry is one inner product, summed from the first term to the last, so the bits do not depend on how the
 * work is cut up; sixteen entries advance together, which keeps the processor's multipliers busy (2 G multiply-adds a
 * second in V8, six times one inner product after the other).
 */

/** Rows one after the other. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float64Array
}

export const zeros = (rows: number, columns: number): Matrix => ({
  rows,
  columns,
  values: new Float64Array(rows * columns),
})

/** The vectors, of one length, as rows. */
export function matrixOf(rows: readonly Float64Array[]): Matrix {
  const out = zeros(rows.length, rows[0]?.length ?? 0)
  rows.forEach((row, i) => {
    out.values.set(row, i * out.columns)
  })
  return out
}

export function transposed({ rows, columns, values }: Matrix): Matrix {
  const out = zeros(columns, rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out.values[j * rows + i] = values[i * columns + j]!
  }
  return out
}

/** Rows of the right side gone through again and again before the next: what a core's own cache holds. */
const BAND = 32

/** X Yᵀ [X.rows, Y.rows]: the inner products of all rows of X with all rows of Y, of one length. */
export function timesTransposed(x: Matrix, y: Matrix): Matrix {
  const out = zeros(x.rows, y.rows)
  for (let band = 0; band < y.rows; band += BAND) {
    const end = Math.min(band + BAND, y.rows)
    for (let i = 0; i < x.rows; i += 4) for (let j = band; j < end; j += 4) tile(x, y, out, i, j)
  }
  return out
}

/** X Xᵀ, symmetric to the bit. */
export function gramOfRows(x: Matrix): Matrix {
  const n = x.rows
  const out = zeros(n, n)
  for (let band = 0; band < n; band += BAND) {
    const end = Math.min(band + BAND, n)
    for (let i = band; i < n; i += 4) for (let j = band; j < end && j <= i; j += 4) tile(x, x, out, i, j)
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) out.values[j * n + i] = out.values[i * n + j]!
  return out
}

/** Entries (i, j) to (i + 3, j + 3), as many as there are. */
function tile(x: Matrix, y: Matrix, out: Matrix, i: number, j: number): void {
  if (i + 4 > x.rows || j + 4 > y.rows) {
    for (let p = i; p < Math.min(i + 4, x.rows); p++) {
      for (let q = j; q < Math.min(j + 4, y.rows); q++) {
        out.values[p * y.rows + q] = innerProduct(x.values, p * x.columns, y.values, q * y.columns, x.columns)
      }
    }
    return
  }
  const { columns, values: a } = x
  const b = y.values
  const [a0, b0] = [i * columns, j * columns]
  const [a1, b1] = [a0 + columns, b0 + columns]
  const [a2, b2] = [a1 + columns, b1 + columns]
  const [a3, b3] = [a2 + columns, b2 + columns]
  let s00 = 0
  let s01 = 0
  let s02 = 0
  let s03 = 0
  let s10 = 0
  let s11 = 0
  let s12 = 0
  let s13 = 0
  let s20 = 0
  let s21 = 0
  let s22 = 0
  let s23 = 0
  let s30 = 0
  let s31 = 0
  let s32 = 0
  let s33 = 0
  for (let k = 0; k < columns; k++) {
    const x0 = a[a0 + k]!
    const x1 = a[a1 + k]!
    const x2 = a[a2 + k]!
    const x3 = a[a3 + k]!
    const y0 = b[b0 + k]!
    const y1 = b[b1 + k]!
    const y2 = b[b2 + k]!
    const y3 = b[b3 + k]!
    s00 += x0 * y0
    s01 += x0 * y1
    s02 += x0 * y2
    s03 += x0 * y3
    s10 += x1 * y0
    s11 += x1 * y1
    s12 += x1 * y2
    s13 += x1 * y3
    s20 += x2 * y0
    s21 += x2 * y1
    s22 += x2 * y2
    s23 += x2 * y3
    s30 += x3 * y0
    s31 += x3 * y1
    s32 += x3 * y2
    s33 += x3 * y3
  }
  const width = y.rows
  const row = (p: number, v0: number, v1: number, v2: number, v3: number) => {
    const at = (i + p) * width + j
    out.values[at] = v0
    out.values[at + 1] = v1
    out.values[at + 2] = v2
    out.values[at + 3] = v3
  }
  row(0, s00, s01, s02, s03)
  row(1, s10, s11, s12, s13)
  row(2, s20, s21, s22, s23)
  row(3, s30, s31, s32, s33)
}

function innerProduct(
  x: Float64Array,
  fromX: number,
  y: Float64Array,
  fromY: number,
  length: number,
): number {
  let sum = 0
  for (let k = 0; k < length; k++) sum += x[fromX + k]! * y[fromY + k]!
  return sum
}
