/** The private release: its noise against the reference, its clip, its statistics and what it refuses. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Adapter, loraB, loraR } from '../../models/adapters/adapter.ts'
import { gaussianDelta, gaussianSigma } from './gaussian.ts'
import { type Contribution, noisyMean } from './index.ts'
import { normalsFrom, type RandomFill } from './normals.ts'

/** A stream of bytes that depends on the seed alone. */
function seeded(seed: string): RandomFill {
  let block = 0
  return (bytes) => {
    for (let at = 0; at < bytes.length; at += 32) {
      const digest = createHash('sha256').update(`${seed} ${block++}`).digest()
      bytes.set(digest.subarray(0, Math.min(32, bytes.length - at)), at)
    }
  }
}

describe('sigma of the analytic Gaussian mechanism', () => {
  const { rows } = JSON.parse(
    readFileSync(new URL('../../models/fixtures/aggregation/gaussian.json', import.meta.url), 'utf8'),
  ) as { rows: { epsilon: number; delta: number; sigma: number }[] }

  it.each(rows)('epsilon $epsilon, delta $delta', ({ epsilon, delta, sigma }) => {
    expect(Math.abs(gaussianSigma({ epsilon, delta }) / sigma - 1)).toBeLessThan(1e-11)
    expect(gaussianSigma({ epsilon, delta }, 2.5)).toBeCloseTo(2.5 * sigma, 10)
  })

  it('keeps the promise and is the least that does, for every budget a room may have', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -3, max: 2, noNaN: true }),
        fc.double({ min: -12, max: Math.log10(0.5), noNaN: true }),
        (logEpsilon, logDelta) => {
          const [epsilon, delta] = [10 ** logEpsilon, 10 ** logDelta]
          const sigma = gaussianSigma({ epsilon, delta })
          expect(gaussianDelta(epsilon, sigma)).toBeLessThanOrEqual(delta)
          // The terms cancel where epsilon and delta are tiny: 1e-6 of sigma is felt above rounding.
          expect(gaussianDelta(epsilon, sigma * (1 - 1e-3))).toBeGreaterThan(delta)
        },
      ),
    )
  })

  it.each([
    [0, 1e-5],
    [-1, 1e-5],
    [Number.POSITIVE_INFINITY, 1e-5],
    [1, 0],
    [1, 1],
    [Number.NaN, 0.1],
  ])('epsilon %s, delta %s is refused', (epsilon, delta) => {
    expect(() => gaussianSigma({ epsilon, delta })).toThrow(
      expect.objectContaining({ code: 'merge/privacy' }),
    )
  })
})

it('normal draws have the moments, the tails and the independence of N(0, 1)', () => {
  const normal = normalsFrom(seeded('moments'))
  const draws = Float64Array.from({ length: 200_000 }, normal)
  const mean = (f: (x: number, i: number) => number) =>
    draws.reduce((sum, x, i) => sum + f(x, i), 0) / draws.length
  const standardErrors = (value: number, expected: number, variance: number) =>
    Math.abs(value - expected) / Math.sqrt(variance / draws.length)
  expect(
    standardErrors(
      mean((x) => x),
      0,
      1,
    ),
  ).toBeLessThan(4)
  expect(
    standardErrors(
      mean((x) => x * x),
      1,
      2,
    ),
  ).toBeLessThan(4)
  expect(
    standardErrors(
      mean((x) => x ** 3),
      0,
      15,
    ),
  ).toBeLessThan(4)
  expect(
    standardErrors(
      mean((x) => x ** 4),
      3,
      96,
    ),
  ).toBeLessThan(4)
  for (const [above, share] of [
    [1, 0.158655254],
    [2, 0.022750132],
    [3, 0.001349898],
  ] as const) {
    expect(
      standardErrors(
        mean((x) => (x > above ? 1 : 0)),
        share,
        share * (1 - share),
      ),
    ).toBeLessThan(4)
  }
  // The two of one pair, and neighbours of two pairs.
  for (const lag of [1, 2])
    expect(
      standardErrors(
        mean((x, i) => x * (draws[i - lag] ?? 0)),
        0,
        1,
      ),
    ).toBeLessThan(4)
})

it('the smallest uniform gives a draw of twelve standard deviations, not an infinite one', () => {
  let words = 0
  const normal = normalsFrom((bytes) => {
    bytes.fill(0)
    // First uniform zero: drawn again; then the lowest bit of all 106.
    if (words++ === 0) new Uint32Array(bytes.buffer)[6 + 3] = 1 << 6
  })
  const draw = normal()
  expect(draw).toBeGreaterThan(12)
  expect(draw).toBeLessThan(13)
})

const RANK = 2
const adapter = (form: 'ffa' | 'lora-sb'): Adapter => ({
  modules: new Map([
    [
      'm',
      {
        name: 'm',
        inFeatures: 3,
        outFeatures: 40,
        rank: RANK,
        alpha: 2,
        a: new Float32Array(6).fill(0.25),
        b: new Float32Array(80).fill(0.5),
        ...(form === 'lora-sb' && { r: new Float32Array(4) }),
      },
    ],
  ]),
})
const sent = (k: number, name: string, values: Float32Array, examples = 1): Contribution => ({
  digest: createHash('sha256').update(`${k}`).digest('hex'),
  examples,
  change: new Map([[name, values]]),
})
const norm = (x: Iterable<number>) => Math.hypot(...x)

describe('the noisy mean', () => {
  const release = (updates: Contribution[], options: Partial<Parameters<typeof noisyMean>[0]> = {}) =>
    noisyMean({
      initial: adapter('ffa'),
      form: 'ffa',
      updates,
      clip: 1,
      sigma: 0,
      random: seeded('noise'),
      ...options,
    }).modules.get('m')!

  it('without noise is the uniform mean of the clipped changes, whatever order, duplicates and example counts', () => {
    const lists = fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 80, maxLength: 80 })
    fc.assert(
      fc.property(
        fc.array(lists, { minLength: 1, maxLength: 64 }),
        fc.float({ min: 0.5, max: 4, noNaN: true }),
        (all, clip) => {
          const updates = all.map((values, k) =>
            sent(k, loraB('m'), Float32Array.from(values), 1 + (k % 1000)),
          )
          const { a, b } = release(updates, { clip })
          expect(release([...updates].reverse().concat(updates[0]!), { clip })).toEqual({
            ...adapter('ffa').modules.get('m'),
            b,
          })
          expect(a).toEqual(adapter('ffa').modules.get('m')!.a)
          for (let i = 0; i < b.length; i++) {
            const mean =
              all.reduce((sum, x) => sum + x[i]! * Math.min(1, clip / (norm(x) || 1)), 0) / all.length
            expect(Math.abs(b[i]! - 0.5 - mean)).toBeLessThan(2e-7)
          }
        },
      ),
      { numRuns: 20 },
    )
  })

  it('one client moves the sum by no more than the clip, whatever it sends', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 80, maxLength: 80 }),
        fc.double({ min: 1e-3, max: 100, noNaN: true }),
        (values, clip) => {
          const start = adapter('ffa').modules.get('m')!.b
          const { b } = release([sent(0, loraB('m'), Float32Array.from(values))], { clip })
          // Half a unit in the last place of float32 an entry, at a size of at most 8.5.
          expect(norm(b.map((value, i) => value - start[i]!))).toBeLessThanOrEqual(clip + 80 * 2 ** -21)
        },
      ),
    )
  })

  it.each([
    ['ffa', loraB('m'), 80],
    ['lora-sb', loraR('m'), 4],
  ] as const)(
    'of %s has noise of standard deviation sigma clip / K in every number sent',
    (form, name, length) => {
      const clients = 4
      const updates = Array.from({ length: clients }, (_, k) => sent(k, name, new Float32Array(length)))
      const random = seeded('deviation')
      const draws: number[] = []
      while (draws.length < 100 * length) {
        const factors = release(updates, { initial: adapter(form), form, clip: 0.5, sigma: 3, random })
        if (form === 'lora-sb') {
          expect(factors.b).toEqual(adapter(form).modules.get('m')!.b)
          draws.push(...factors.r!)
        } else {
          draws.push(...factors.b.map((value) => value - 0.5))
        }
      }
      const expected = (3 * 0.5) / clients
      const deviation = norm(draws) / Math.sqrt(draws.length)
      expect(Math.abs(deviation / expected - 1)).toBeLessThan(4 / Math.sqrt(2 * draws.length))
      expect(Math.abs(draws.reduce((sum, x) => sum + x, 0) / draws.length)).toBeLessThan(
        (4 * expected) / Math.sqrt(draws.length),
      )
    },
  )

  it('draws anew for each release', () => {
    const updates = [sent(0, loraB('m'), new Float32Array(80))]
    const random = seeded('anew')
    expect(release(updates, { sigma: 1, random }).b).not.toEqual(release(updates, { sigma: 1, random }).b)
  })

  it('refuses nothing, other shapes, other tensors and impossible terms', () => {
    const good = sent(0, loraB('m'), new Float32Array(80))
    const refused = (code: string, updates: Contribution[], options = {}) =>
      expect(() => release(updates, options)).toThrow(expect.objectContaining({ code }))
    refused('merge/nothing', [])
    refused('merge/shape', [sent(0, loraB('m'), new Float32Array(79))])
    refused('merge/shape', [sent(0, loraR('m'), new Float32Array(4))])
    refused('merge/range', [sent(0, loraB('m'), new Float32Array(80).fill(Number.NaN))])
    refused('merge/privacy', [good], { clip: 0 })
    refused('merge/privacy', [good], { sigma: Number.NaN })
  })
})
