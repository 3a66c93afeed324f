/**
 * QR by Householder reflections (Golub & Van Loan, Matrix Computations, 5.2 and 5.4), in doubles. Written here
 * because a published digest depends on every bit of it: only + - * / and sqrt are used, which IEEE 754 fixes,
 * so every engine and every release gives the same bits.
 *
 * A matrix is a list of columns, each contiguous: factors are tall and thin, and everything runs down columns.
 * Entries come from float32 factors, so their squares neither overflow nor vanish.
 */

export type Columns = readonly Float64Array[]

export interface ThinQr {
  /** Columns of R: [min(rows, columns), columns], upper triangular (trapezoidal when wide). */
  readonly r: Columns
  /** Q times vectors of min(rows, columns) numbers, without ever forming Q. */
  applyQ(vectors: Columns): Float64Array[]
}

/** `matrix` is left as it was. Rank-deficient and zero matrices are fine; wide ones give a trapezoidal R. */
export function thinQr(matrix: Columns, rows: number): ThinQr {
  const work = matrix.map((column) => column.slice())
  const steps = Math.min(rows, work.length)
  /** Reflector k is I - 2 v vᵀ with |v| = 1 and v zero above k; null where the column was zero already. */
  const reflectors: (Float64Array | null)[] = []
  for (let k = 0; k < steps; k++) {
    const v = reflector(work[k]!, k)
    reflectors.push(v)
    if (!v) continue
    reflectAll(work, k, v, k)
  }
  const r = work.map((column, j) => {
    const top = column.slice(0, steps)
    top.fill(0, j + 1) // what is left there is rounding
    return top
  })
  return {
    r,
    applyQ(vectors) {
      const all = vectors.map((vector) => {
        const out = new Float64Array(rows)
        out.set(vector)
        return out
      })
      // Four at a time through all reflectors: they stay in the processor's nearest memory.
      for (let first = 0; first < all.length; first += 4) {
        const some = all.slice(first, first + 4)
        for (let k = steps - 1; k >= 0; k--) {
          const v = reflectors[k]
          if (v) reflectAll(some, 0, v, k)
        }
      }
      return all
    },
  }
}

/**
 * R of a QR with column pivoting, [rank, columns]: each step takes the longest remaining column, and the steps
 * end when what remains is `negligible` (a sum of squares). `order[j]` is the column that came to place j.
 */
export function pivotedR(matrix: Columns, negligible: number): { r: Columns; order: number[] } {
  const work = matrix.map((column) => column.slice())
  const order = matrix.map((_, j) => j)
  const limit = Math.min(work[0]?.length ?? 0, work.length)
  let rank = 0
  for (; rank < limit; rank++) {
    const remaining = work.map((column, j) => (j < rank ? 0 : squaresFrom(column, rank)))
    if (remaining.reduce((sum, squares) => sum + squares, 0) <= negligible) break
    let longest = rank
    for (let j = rank + 1; j < work.length; j++) if (remaining[j]! > remaining[longest]!) longest = j
    swap(work, rank, longest)
    swap(order, rank, longest)
    const v = reflector(work[rank]!, rank)
    if (!v) break
    reflectAll(work, rank, v, rank)
  }
  const r = work.map((column, j) => {
    const top = column.slice(0, rank)
    top.fill(0, j + 1)
    return top
  })
  return { r, order }
}

function swap<T>(list: T[], i: number, j: number) {
  const kept = list[i]!
  list[i] = list[j]!
  list[j] = kept
}

function squaresFrom(column: Float64Array, from: number): number {
  let squares = 0
  for (let i = from; i < column.length; i++) squares += column[i]! * column[i]!
  return squares
}

function reflector(column: Float64Array, from: number): Float64Array | null {
  const norm = Math.sqrt(squaresFrom(column, from))
  if (norm === 0) return null
  const v = column.slice()
  v.fill(0, 0, from)
  // Away from the pivot's sign, so that nothing cancels.
  v[from]! += v[from]! < 0 ? -norm : norm
  const length = Math.sqrt(squaresFrom(v, from))
  for (let i = from; i < v.length; i++) v[i]! /= length
  return v
}

/** All columns from the `first` on, four at a time: each as `reflect` does it, to the bit. */
function reflectAll(columns: Columns, first: number, v: Float64Array, from: number) {
  let j = first
  for (; j + 4 <= columns.length; j += 4) {
    const c0 = columns[j]!
    const c1 = columns[j + 1]!
    const c2 = columns[j + 2]!
    const c3 = columns[j + 3]!
    let d0 = 0
    let d1 = 0
    let d2 = 0
    let d3 = 0
    for (let i = from; i < v.length; i++) {
      const x = v[i]!
      d0 += c0[i]! * x
      d1 += c1[i]! * x
      d2 += c2[i]! * x
      d3 += c3[i]! * x
    }
    d0 *= 2
    d1 *= 2
    d2 *= 2
    d3 *= 2
    for (let i = from; i < v.length; i++) {
      const x = v[i]!
      c0[i]! -= d0 * x
      c1[i]! -= d1 * x
      c2[i]! -= d2 * x
      c3[i]! -= d3 * x
    }
  }
  for (; j < columns.length; j++) reflect(columns[j]!, v, from)
}

function reflect(column: Float64Array, v: Float64Array, from: number) {
  let dot = 0
  for (let i = from; i < column.length; i++) dot += column[i]! * v[i]!
  dot *= 2
  for (let i = from; i < column.length; i++) column[i]! -= dot * v[i]!
}
