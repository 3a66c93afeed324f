import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normals } from '../testing/normals.ts'
import { baseStart } from './base-start.ts'
import { leadingSingular } from './singular.ts'

/** a [n, k] · b [k, m]. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, n: number, k: number, m: number): Float64Array {
  const y = new Float64Array(n * m)
  for (let i = 0; i < n; i++)
    for (let l = 0; l < k; l++) for (let j = 0; j < m; j++) y[i * m + j] += a[i * k + l] * b[l * m + j]
  return y
}

const transposed = (a: ArrayLike<number>, n: number, m: number) =>
  Float64Array.from({ length: n * m }, (_, at) => a[(at % n) * m + Math.floor(at / n)])

/** σ falling by a factor of `ratio`, between orthonormal vectors of random matrices. */
function knownSpectrum(rows: number, columns: number, ratio: number) {
  const count = Math.min(rows, columns)
  const u = leadingSingular(normals(rows * rows, 1), rows, rows, count).left
  const v = leadingSingular(normals(columns * columns, 2), columns, columns, count).right
  const scaled = Float64Array.from(u, (entry, at) => entry * 5 * ratio ** (at % count))
  return Float32Array.from(product(scaled, v, rows, count, columns))
}

const maxError = (found: ArrayLike<number>, expected: ArrayLike<number>) =>
  Array.from(found).reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0)

const identity = (n: number) => Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0))

describe('leadingSingular', () => {
  it.each([
    [40, 25, 4],
    [25, 40, 4],
    [60, 60, 8],
  ])('finds the largest directions of a %i x %i matrix whose spectrum is known', (rows, columns, rank) => {
    const w = knownSpectrum(rows, columns, 0.6)
    const { values, left, right } = leadingSingular(w, rows, columns, rank)
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(5 * 0.6 ** i, 4)
    expect(
      maxError(product(transposed(left, rows, rank), left, rank, rows, rank), identity(rank)),
    ).toBeLessThan(1e-5)
    expect(
      maxError(product(right, transposed(right, rank, columns), rank, columns, rank), identity(rank)),
    ).toBeLessThan(1e-5)
    // W vᵢ = σᵢ uᵢ
    const wv = product(w, transposed(right, rank, columns), rows, columns, rank)
    const scaled = Float64Array.from(left, (entry, at) => entry * values[at % rank])
    expect(maxError(wv, scaled)).toBeLessThan(2e-3)
  })

  it('holds all but a little of what the best subspace holds, also of a flat spectrum', () => {
    const [rows, columns, rank] = [96, 64, 8]
    const w = normals(rows * columns, 3)
    const exact = leadingSingular(w, rows, columns, 64).values
    const energy = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0)
    const best = energy(exact.slice(0, rank))
    expect(energy(exact)).toBeCloseTo(
      w.reduce((sum, x) => sum + x * x, 0),
      1,
    )
    expect(energy(leadingSingular(w, rows, columns, rank).values)).toBeGreaterThan(0.93 * best)
  })

  it('rebuilds any small matrix from all its directions, to the same bits each time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 49, maxLength: 49 }),
        (rows, columns, numbers) => {
          const w = Float32Array.from(numbers.slice(0, rows * columns))
          const rank = Math.min(rows, columns)
          const { values, left, right } = leadingSingular(w, rows, columns, rank)
          const scaled = Float64Array.from(left, (entry, at) => entry * values[at % rank])
          expect(maxError(product(scaled, right, rows, rank, columns), w)).toBeLessThan(1e-4)
          expect(leadingSingular(w, rows, columns, rank)).toEqual({ values, left, right })
        },
      ),
    )
  })

  it('leaves directions that a matrix does not have at zero', () => {
    const { values, left, right } = leadingSingular(new Float32Array(12), 3, 4, 5)
    for (const numbers of [values, left, right]) expect(numbers.every((x) => x === 0)).toBe(true)
    expect([left.length, right.length]).toEqual([15, 20])
  })
})

it('baseStart gives orthonormal factors of each module and no change yet', async () => {
  const modules = [
    { name: 'base_model.model.m0', inFeatures: 12, outFeatures: 20 },
    { name: 'base_model.model.m1', inFeatures: 9, outFeatures: 9 },
  ]
  const asked: string[] = []
  const adapter = await baseStart({ form: 'lora-sb', rank: 3, alpha: 6, modules }, async (module) => {
    asked.push(module.name)
    return normals(module.inFeatures * module.outFeatures, asked.length)
  })
  expect(asked).toEqual(modules.map(({ name }) => name))
  for (const { rank, alpha, inFeatures, outFeatures, a, b, r } of adapter.modules.values()) {
    expect([rank, alpha]).toEqual([3, 6])
    expect(maxError(product(a, transposed(a, 3, inFeatures), 3, inFeatures, 3), identity(3))).toBeLessThan(
      1e-5,
    )
    expect(maxError(product(transposed(b, outFeatures, 3), b, 3, outFeatures, 3), identity(3))).toBeLessThan(
      1e-5,
    )
    expect(r).toEqual(new Float32Array(9))
  }
})
