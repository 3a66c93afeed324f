import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Columns, thinQr } from './qr.ts'
import { singularParts } from './svd.ts'

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
          const back = applyQ(r[j]!)
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
        const q = Array.from(units, (i) => applyQ(units.map((j) => (i === j ? 1 : 0))))
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
