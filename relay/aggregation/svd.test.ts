import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leadingTermsOfDense } from './dense-terms.ts'
import { gramOfRows, type Matrix, matrixOf, timesTransposed, transposed } from './products.ts'
import { type Columns, thinQr } from './qr.ts'
import { singularParts } from './svd.ts'
import { symmetricEigen } from './symmetric-eigen.ts'

const norm = (x: ArrayLike<number>) => Math.sqrt(Array.from(x).reduce((sum, value) => sum + value * value, 0))
const inner = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)

/** Any shape from 1 by 1 to 12 by 12, any rank down to 0, columns repeated and scaled over many decades. */
const matrices = fc
  .record({ rows: fc.integer({ min: 1, max: 12 }), columns: fc.integer({ min: 1, max: 12 }) })
  .chain(({ rows, columns }) =>
    fc.record({
      rows: fc.constant(rows),
      basis: fc.array(
        fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: rows, maxLength: rows }),
        {
          minLength: columns,
          maxLength: columns,
        },
      ),
      picks: fc.array(
        fc.record({
          from: fc.nat(columns - 1),
          decades: fc.integer({ min: -12, max: 2 }),
          zero: fc.boolean(),
        }),
        { minLength: columns, maxLength: columns },
      ),
    }),
  )
  .map(({ rows, basis, picks }) => ({
    rows,
    matrix: picks.map(({ from, decades, zero }) =>
      Float64Array.from(basis[from]!, (value) => (zero ? 0 : value * 10 ** decades)),
    ),
  }))

const size = (matrix: Columns) => norm(matrix.map(norm))

describe('thin QR', () => {
  it('Q R is the matrix and R is triangular, for any shape and rank', () => {
    fc.assert(
      fc.property(matrices, ({ rows, matrix }) => {
        const { r, applyQ } = thinQr(matrix, rows)
        matrix.forEach((column, j) => {
          const [back] = applyQ([r[j]!]) as [Float64Array]
          expect(norm(back.map((value, i) => value - column[i]!))).toBeLessThanOrEqual(1e-13 * size(matrix))
          expect(r[j]!.slice(j + 1).every((value) => value === 0)).toBe(true)
        })
      }),
    )
  })

  it('Q keeps lengths and angles', () => {
    fc.assert(
      fc.property(matrices, ({ rows, matrix }) => {
        const { r, applyQ } = thinQr(matrix, rows)
        const units = r[0]!.map((_, i) => i)
        const q = applyQ(Array.from(units, (i) => units.map((j) => (i === j ? 1 : 0))))
        for (let i = 0; i < q.length; i++)
          for (let j = 0; j < q.length; j++)
            expect(Math.abs(inner(q[i]!, q[j]!) - (i === j ? 1 : 0))).toBeLessThan(1e-13)
      }),
    )
  })
})

describe('singular values', () => {
  it('are descending, with orthogonal vectors that span the matrix', () => {
    fc.assert(
      fc.property(matrices, ({ rows, matrix }) => {
        const parts = singularParts(matrix)
        const total = size(matrix)
        parts.forEach((part, i) => {
          if (i > 0) expect(part.sigma).toBeLessThanOrEqual(parts[i - 1]!.sigma)
          for (let j = 0; j < i; j++) {
            const cosine = inner(part.scaledRight, parts[j]!.scaledRight) / part.sigma / parts[j]!.sigma
            expect(Math.abs(cosine)).toBeLessThan(1e-12)
          }
        })
        for (let i = 0; i < rows; i++) {
          const row = Float64Array.from(matrix, (column) => column[i]!)
          for (const { sigma, scaledRight } of parts) {
            const along = inner(row, scaledRight) / sigma / sigma
            for (let j = 0; j < row.length; j++) row[j]! -= along * scaledRight[j]!
          }
          expect(norm(row)).toBeLessThanOrEqual(1e-12 * total)
        }
        expect(Math.abs(norm(parts.map(({ sigma }) => sigma)) - total)).toBeLessThanOrEqual(1e-12 * total)
      }),
    )
  })

  it('finds those of a matrix known in closed form', () => {
    // [[3, 0], [4, 5]] has singular values 3 sqrt(5) and sqrt(5).
    const parts = singularParts([Float64Array.of(3, 4), Float64Array.of(0, 5)])
    expect(parts.map(({ sigma }) => sigma)).toEqual([
      expect.closeTo(3 * Math.sqrt(5), 14),
      expect.closeTo(Math.sqrt(5), 14),
    ])
  })

  it('of zeros are none', () => {
    expect(singularParts([new Float64Array(3), new Float64Array(3)])).toEqual([])
  })
})

/** Any shape, whole tiles and their rests; by columns as above. */
const dense = matrices.map(({ matrix }) => transposed(matrixOf(matrix)))
const rowOf = ({ columns, values }: Matrix, i: number) => values.subarray(i * columns, (i + 1) * columns)

describe('products', () => {
  it('are what three loops give, to the bit, in any shape', () => {
    const shape = fc.integer({ min: 1, max: 41 })
    fc.assert(
      fc.property(shape, shape, shape, fc.integer(), (m, n, k, seed) => {
        const filled = (rows: number, columns: number, phase: number): Matrix => ({
          rows,
          columns,
          values: Float64Array.from({ length: rows * columns }, (_, i) => Math.sin(i * phase + seed)),
        })
        const [x, y] = [filled(m, k, 1.1), filled(n, k, 1.7)]
        const product = timesTransposed(x, y)
        const gram = gramOfRows(x)
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) expect(product.values[i * n + j]).toBe(inner(rowOf(x, i), rowOf(y, j)))
          for (let j = 0; j < m; j++) {
            expect(gram.values[i * m + j]).toBe(inner(rowOf(x, Math.max(i, j)), rowOf(x, Math.min(i, j))))
          }
        }
        expect(transposed(transposed(x))).toEqual(x)
      }),
      { numRuns: 40 },
    )
  })
})

describe('eigenvectors of a symmetric matrix', () => {
  it('are orthogonal, descending and turn it diagonal, whatever its rank', () => {
    fc.assert(
      fc.property(dense, (m) => {
        const gram = gramOfRows(m)
        const { values, vectors } = symmetricEigen(gram)
        const n = gram.rows
        const images = timesTransposed(vectors, gram)
        const largest = Math.max(values[0]!, 0)
        for (let i = 0; i < n; i++) {
          if (i > 0) expect(values[i]).toBeLessThanOrEqual(values[i - 1]!)
          for (let j = 0; j < n; j++) {
            const product = inner(rowOf(vectors, i), rowOf(vectors, j))
            expect(Math.abs(product - (i === j ? 1 : 0))).toBeLessThan(1e-13)
            const residual = images.values[i * n + j]! - values[i]! * vectors.values[i * n + j]!
            expect(Math.abs(residual)).toBeLessThanOrEqual(1e-14 * largest)
          }
        }
      }),
    )
  })

  it('of a matrix known in closed form, whose size is odd and more than one panel of columns', () => {
    // The second difference of n points has eigenvalues 2 - 2 cos(k pi / (n + 1)); turned by a reflection, it is dense.
    const n = 139
    const v = Float64Array.from({ length: n }, (_, i) => Math.sin(i + 1))
    const square = inner(v, v)
    const turn = matrixOf(
      Array.from(v, (vi, i) => v.map((vj, j) => (i === j ? 1 : 0) - (2 * vi * vj) / square)),
    )
    const difference = matrixOf(
      Array.from({ length: n }, (_, i) =>
        Float64Array.from({ length: n }, (_, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)),
      ),
    )
    const dense = timesTransposed(timesTransposed(turn, difference), turn)
    const { values, vectors } = symmetricEigen(dense)
    const images = timesTransposed(vectors, dense)
    const products = gramOfRows(vectors)
    let off = 0
    for (let i = 0; i < n; i++) {
      expect(values[i]).toBeCloseTo(2 - 2 * Math.cos(((n - i) * Math.PI) / (n + 1)), 12)
      for (let j = 0; j < n; j++) {
        const at = i * n + j
        off = Math.max(off, Math.abs(images.values[at]! - values[i]! * vectors.values[at]!))
        off = Math.max(off, Math.abs(products.values[at]! - (i === j ? 1 : 0)))
      }
    }
    expect(off).toBeLessThan(1e-12)
  })
})

describe('leading terms of a dense matrix', () => {
  const sum = (terms: ReturnType<typeof leadingTermsOfDense>, { rows, columns }: Matrix) => {
    const out = new Float64Array(rows * columns)
    for (const { left, right } of terms)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) out[i * columns + j]! += left[i]! * right[j]!
    return out
  }

  it('without a limit are the matrix, below what float32 rounds away', () => {
    fc.assert(
      fc.property(dense, (m) => {
        const back = sum(leadingTermsOfDense(m, {}), m)
        expect(norm(back.map((value, i) => value - m.values[i]!))).toBeLessThanOrEqual(
          2 ** -27 * norm(m.values),
        )
      }),
    )
  })

  it('by rank and by energy leave what Jacobi leaves', () => {
    fc.assert(
      fc.property(dense, fc.integer({ min: 1, max: 5 }), fc.constantFrom(0.5, 0.9, 0.999), (m, rank, tau) => {
        const columns = Array.from({ length: m.columns }, (_, j) =>
          Float64Array.from({ length: m.rows }, (_, i) => m.values[i * m.columns + j]!),
        )
        const sigmas = singularParts(columns).map(({ sigma }) => sigma)
        const total = norm(sigmas)
        for (const limit of [{ rank }, { tau }, { rank, tau }]) {
          const terms = leadingTermsOfDense(m, limit)
          const left = norm(sum(terms, m).map((value, i) => value - m.values[i]!))
          expect(Math.abs(left - norm(sigmas.slice(terms.length)))).toBeLessThanOrEqual(1e-7 * total)
          if (limit.rank === undefined && total > 0) {
            expect(left ** 2).toBeLessThanOrEqual((1 - tau + 1e-12) * total ** 2)
          }
          terms.forEach(({ left, right }, i) => {
            // Rounding in a product with itself may make a term where Jacobi sees a zero.
            const off = Math.abs(norm(left) * norm(right) - (sigmas[i] ?? 0))
            expect(off).toBeLessThanOrEqual(1e-7 * total)
            expect(norm(left) / norm(right)).toBeCloseTo(1, 12)
          })
        }
      }),
    )
  })
})
