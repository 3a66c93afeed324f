/**
 * Products of dense matrices in doubles, the arithmetic of every merge that has more clients than a matrix has room
 * for. Every entry is one inner product, summed from the first term to the last, so the bits do not depend on how the
 * work is cut up; sixteen entries advance together (kernels/kernels.ts).
 */
import { kernels } from './kernels/kernels.ts'

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
  // Squares of 32: one entry a row would fetch a cache line for each.
  for (let top = 0; top < rows; top += 32) {
    const bottom = Math.min(top + 32, rows)
    for (let left = 0; left < columns; left += 32) {
      const right = Math.min(left + 32, columns)
      for (let i = top; i < bottom; i++) {
        for (let j = left; j < right; j++) out.values[j * rows + i] = values[i * columns + j]!
      }
    }
  }
  return out
}

/** Rows of the left side at a time: packed, they stay in a core's second cache while the right side passes. */
const BLOCK = 32

/** Of the right side, packed, at a time: for a whole matrix of a large model there may be no room twice. */
const MAX_BAND_BYTES = 8 * 1024 * 1024

/** X Yᵀ [X.rows, Y.rows]: the inner products of all rows of X with all rows of Y, of one length. */
export function timesTransposed(x: Matrix, y: Matrix): Matrix {
  const out = zeros(x.rows, y.rows)
  multiply(x, y, out, () => y.rows)
  return out
}

/** X Xᵀ, symmetric to the bit. */
export function gramOfRows(x: Matrix): Matrix {
  const n = x.rows
  const out = zeros(n, n)
  multiply(x, x, out, (row) => row + 1)
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) out.values[j * n + i] = out.values[i * n + j]!
  return out
}

/** Of row i of the result at least the first `wanted(i)` entries. */
function multiply(x: Matrix, y: Matrix, out: Matrix, wanted: (row: number) => number): void {
  const { columns } = x
  const stripBytes = 4 * 8 * columns
  const strips = Math.ceil(Math.min(y.rows, MAX_BAND_BYTES / (8 * columns)) / 4)
  const bandRows = 4 * strips
  const stride = 8 * bandRows
  const [atX, atY, atOut] = [0, (BLOCK / 4) * stripBytes, (BLOCK / 4 + strips) * stripBytes]
  const { memory, tile } = kernels(atOut + BLOCK * stride)
  const values = new Float64Array(memory.buffer)
  for (let band = 0; band < y.rows; band += bandRows) {
    const bandEnd = Math.min(band + bandRows, y.rows)
    pack(y, band, bandEnd, values, atY / 8)
    for (let block = 0; block < x.rows; block += BLOCK) {
      const blockEnd = Math.min(block + BLOCK, x.rows)
      const end = Math.min(bandEnd, wanted(blockEnd - 1))
      if (end <= band) continue
      pack(x, block, blockEnd, values, atX / 8)
      for (let j = band; j < end; j += 4) {
        const strip = atY + ((j - band) / 4) * stripBytes
        for (let i = block; i < blockEnd; i += 4) {
          const to = atOut + (i - block) * stride + (j - band) * 8
          tile(atX + ((i - block) / 4) * stripBytes, strip, to, stride, columns)
        }
      }
      for (let i = block; i < blockEnd; i++) {
        const from = (atOut + (i - block) * stride) / 8
        out.values.set(values.subarray(from, from + end - band), i * out.columns + band)
      }
    }
  }
}

/** Rows `first` to `last` - 1 in strips of four, [columns, 4] each; what a strip lacks is zero. */
function pack(from: Matrix, first: number, last: number, into: Float64Array, at: number): void {
  const { columns, values } = from
  for (let row = first; row < last; row += 4) {
    for (let r = 0; r < 4; r++) {
      let to = at + (row - first) * columns + r
      if (row + r >= last) {
        for (let k = 0; k < columns; k++, to += 4) into[to] = 0
        continue
      }
      const source = (row + r) * columns
      for (let k = 0; k < columns; k++, to += 4) into[to] = values[source + k]!
    }
  }
}
