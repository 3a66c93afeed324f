/** A merge is a function of the set of updates: whatever the order, the duplicates and what came and went. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Adapter, type LoraFactors, loraA, loraB } from '../../models/adapters/adapter.ts'
import {
  type Contribution,
  FactorSum,
  mergeAdapters,
  mergeUpdates,
  roundStart,
  type StrategyChoice,
} from './index.ts'

const RANK = 2
const initial: Adapter = {
  modules: new Map(
    [
      { name: 'wide', inFeatures: 9, outFeatures: 4 },
      { name: 'tall', inFeatures: 3, outFeatures: 7 },
    ].map((module): [string, LoraFactors] => [
      module.name,
      {
        ...module,
        rank: RANK,
        alpha: 4,
        a: Float32Array.from({ length: RANK * module.inFeatures }, (_, i) => Math.sin(i + 1) / 3),
        b: new Float32Array(module.outFeatures * RANK),
      },
    ]),
  ),
}

const numbers = (length: number) =>
  fc.float32Array({ min: -8, max: 8, noNaN: true, minLength: length, maxLength: length })

type Update = Contribution & { readonly change: ReadonlyMap<string, Float32Array> }

const update: fc.Arbitrary<Update> = fc.record({
  digest: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 }),
  examples: fc.integer({ min: 1, max: 1000 }),
  change: fc.tuple(numbers(RANK * 9), numbers(4 * RANK), numbers(RANK * 3), numbers(7 * RANK)).map(
    ([wideA, wideB, tallA, tallB]) =>
      new Map([
        [loraA('wide'), wideA],
        [loraB('wide'), wideB],
        [loraA('tall'), tallA],
        [loraB('tall'), tallB],
      ]),
  ),
})

const rounds = fc
  .uniqueArray(update, { selector: ({ digest }) => digest, minLength: 1, maxLength: 16 })
  .chain((updates) =>
    fc.record({
      updates: fc.constant(updates),
      shuffled: fc.shuffledSubarray(updates, { minLength: updates.length }),
      repeated: fc.shuffledSubarray(updates),
    }),
  )

const merge = (strategy: StrategyChoice, updates: Update[]) =>
  mergeUpdates({
    strategy,
    initial,
    manifestDigest: 'f'.repeat(64),
    updates: strategy.id === 'ffa' ? updates.map(withFrozenA) : updates,
  })

const withFrozenA = (update: Update): Update => ({
  ...update,
  change: new Map(
    [...update.change].map(([name, values]) => [
      name,
      name.includes('lora_A') ? values.map(() => 0) : values,
    ]),
  ),
})

/** The numbers as bits: NaN, -0 and 0 apart. */
const bits = (adapter: Adapter) =>
  [...adapter.modules.values()].map(({ name, rank, alpha, a, b }) => [
    name,
    rank,
    alpha,
    Buffer.from(a.buffer).toString('hex'),
    Buffer.from(b.buffer).toString('hex'),
  ])

const choices: StrategyChoice[] = [
  { id: 'florist', tau: 0.999 },
  { id: 'florist', tau: 1 },
  { id: 'fedit' },
  { id: 'fedit', clip: 'median', lambda: 1.5, rank: 1 },
  { id: 'stack' },
  { id: 'svd', rank: 3 },
  { id: 'task', lambda: 0.7, clip: 2 },
  { id: 'ties', density: 0.3 },
  { id: 'ties', density: 0.3, scope: 'module', tau: 0.9 },
  { id: 'dare', density: 0.5, seed: 's' },
  { id: 'median' },
  { id: 'median', clip: 'median', rank: 2 },
  { id: 'trimmed-mean', trim: 0.2 },
  { id: 'rfa' },
  { id: 'ffa' },
]
const ON_ADAPTERS = choices.filter(({ id }) => id !== 'ffa')

describe.each(choices)('%o', (strategy) => {
  it('gives the same bits and digest in any order, duplicates without effect', () => {
    fc.assert(
      fc.property(rounds, ({ updates, shuffled, repeated }) => {
        const one = merge(strategy, updates)
        const other = merge(strategy, [...shuffled, ...repeated])
        expect(other.digest).toBe(one.digest)
        expect(bits(other.adapter)).toEqual(bits(one.adapter))
      }),
      { numRuns: 60 },
    )
  })

  it('names a version by what is in it', () => {
    fc.assert(
      fc.property(rounds, ({ updates }) => {
        fc.pre(updates.length > 1)
        expect(merge(strategy, updates.slice(1)).digest).not.toBe(merge(strategy, updates).digest)
      }),
      { numRuns: 20 },
    )
  })

  it('does not write to what it was given', () => {
    fc.assert(
      fc.property(rounds, ({ updates }) => {
        const before = JSON.stringify([bits(initial), updates.map(({ change }) => [...change])])
        merge(strategy, updates)
        expect(JSON.stringify([bits(initial), updates.map(({ change }) => [...change])])).toBe(before)
      }),
      { numRuns: 10 },
    )
  })
})

it('finished adapters give the same bits in any order', () => {
  fc.assert(
    fc.property(rounds, fc.constantFrom(...ON_ADAPTERS), ({ updates, shuffled }, strategy) => {
      const asAdapters = (list: Update[]) =>
        mergeAdapters({
          strategy,
          weights: list.map(({ examples }) => examples / 7),
          adapters: list.map(({ change }) => ({
            modules: new Map(
              [...initial.modules].map(([name, factors]) => [
                name,
                { ...factors, a: change.get(loraA(name))!, b: change.get(loraB(name))! },
              ]),
            ),
          })),
        })
      expect(bits(asAdapters(shuffled))).toEqual(bits(asAdapters(updates)))
    }),
    { numRuns: 150 },
  )
})

it('a withdrawn update is gone as if never sent', () => {
  fc.assert(
    fc.property(rounds, ({ updates, shuffled, repeated }) => {
      fc.pre(repeated.length < updates.length)
      const sum = new FactorSum(roundStart(initial))
      for (const one of shuffled) expect(sum.add(one)).toBe(true)
      for (const one of repeated) expect(sum.add(one)).toBe(false)
      for (const one of repeated) sum.remove(one)
      const staying = updates.filter((one) => !repeated.includes(one))
      expect(sum.contributions).toBe(staying.length)
      expect(bits(sum.result())).toEqual(bits(merge({ id: 'fedit' }, staying).adapter))
    }),
    { numRuns: 100 },
  )
})

describe('limits', () => {
  const good: Update = {
    digest: 'a'.repeat(64),
    examples: 3,
    change: new Map(
      [...initial.modules.values()].flatMap(({ name, a, b }) => [
        [loraA(name), a.map(() => 0.5)] as const,
        [loraB(name), b.map(() => -0.5)] as const,
      ]),
    ),
  }
  const with_ = (name: string, values: Float32Array) => ({
    ...good,
    change: new Map([...good.change, [name, values]]),
  })
  const cases: [string, Update, string][] = [
    ['no examples', { ...good, examples: 0 }, 'merge/examples'],
    ['half an example', { ...good, examples: 1.5 }, 'merge/examples'],
    ['too many examples', { ...good, examples: 1001 }, 'merge/examples'],
    ['NaN', with_(loraB('tall'), new Float32Array(14).fill(Number.NaN)), 'merge/range'],
    ['infinity', with_(loraA('wide'), new Float32Array(18).fill(Number.NEGATIVE_INFINITY)), 'merge/range'],
    ['a number beyond 8', with_(loraA('wide'), new Float32Array(18).fill(8.001)), 'merge/range'],
    ['a wrong length', with_(loraA('wide'), new Float32Array(17)), 'merge/shape'],
    ['an unknown tensor', with_('other', new Float32Array(1)), 'merge/shape'],
    ['a missing tensor', { ...good, change: new Map([...good.change].slice(1)) }, 'merge/shape'],
  ]
  it.each(cases)('%s is refused and changes nothing', (_, bad, code) => {
    for (const strategy of [{ id: 'florist', tau: 0.999 }, { id: 'fedit' }, { id: 'median' }] as const) {
      expect(() => merge(strategy, [bad])).toThrow(expect.objectContaining({ code }))
    }
    const sum = new FactorSum(roundStart(initial))
    sum.add(good)
    const before = bits(sum.result())
    expect(() => sum.add({ ...bad, digest: 'b'.repeat(64) })).toThrow(expect.objectContaining({ code }))
    expect(bits(sum.result())).toEqual(before)
  })

  it('the largest round allowed is still exact, one more contribution is refused', () => {
    const sum = new FactorSum(roundStart(initial))
    const at = (i: number) => i.toString(16).padStart(64, '0')
    const extreme = new Map([...good.change].map(([name, values]) => [name, values.map(() => -8)]))
    for (let i = 0; i < 1024; i++) sum.add({ digest: at(i), examples: 1000, change: extreme })
    expect(sum.result().modules.get('tall')!.b).toEqual(new Float32Array(14).fill(-8))
    expect(() => sum.add({ digest: at(1024), examples: 1, change: extreme })).toThrow(
      expect.objectContaining({ code: 'merge/contributions' }),
    )
    for (let i = 0; i < 1023; i++) sum.remove({ digest: at(i), examples: 1000, change: extreme })
    sum.remove({ digest: at(1023), examples: 1000, change: extreme })
    sum.add(good)
    expect(bits(sum.result())).toEqual(bits(merge({ id: 'fedit' }, [good]).adapter))
  })

  it('what was never added cannot be removed, and nothing cannot be merged', () => {
    const sum = new FactorSum(roundStart(initial))
    expect(() => sum.remove(good)).toThrow(expect.objectContaining({ code: 'merge/unknown-contribution' }))
    expect(() => sum.result()).toThrow(expect.objectContaining({ code: 'merge/nothing' }))
    expect(() => merge({ id: 'fedit' }, [])).toThrow(expect.objectContaining({ code: 'merge/nothing' }))
  })

  it.each<[StrategyChoice, RegExp]>([
    [{ id: 'task', lambda: 0 }, /lambda scales/],
    [{ id: 'task', lambda: Number.NaN }, /lambda scales/],
    [{ id: 'svd', rank: 0 }, /rank to publish/],
    [{ id: 'median', rank: 1.5 }, /rank to publish/],
    [{ id: 'fedit', tau: 2 }, /tau is the share/],
    [{ id: 'ties', density: 0 }, /density is the share/],
    [{ id: 'dare', density: 1.1, seed: '' }, /density is the share/],
    [{ id: 'trimmed-mean', trim: 0.5 }, /trim is the share/],
    [{ id: 'stack', clip: -1 }, /clip is a positive norm/],
  ])('%o is refused', (strategy, message) => {
    expect(() => merge(strategy, [good])).toThrow(message)
    expect(() => merge(strategy, [good])).toThrow(expect.objectContaining({ code: 'merge/strategy' }))
  })

  it('a tau outside (0, 1] is refused', () => {
    for (const tau of [0, -1, 1.01, Number.NaN])
      expect(() => merge({ id: 'florist', tau }, [good])).toThrow(
        expect.objectContaining({ code: 'merge/strategy' }),
      )
  })

  it('entries as large as the last one kept stay, so that none is preferred', () => {
    const change = new Map(
      [...initial.modules.values()].flatMap(({ name, a, b }) => [
        [loraA(name), a.map((value) => 0.5 - value)] as const, // A becomes 0.5 throughout
        [loraB(name), b.map(() => 1)] as const,
      ]),
    )
    const { modules } = merge({ id: 'ties', density: 0.1 }, [{ ...good, change }]).adapter
    const { a, b, rank } = modules.get('tall')!
    expect(rank).toBe(3)
    // alpha / rank is 2: every entry of the delta is 2 (0.5 + 0.5), and one factor is the identity.
    for (const value of b) expect(Math.abs(value - 2)).toBeLessThan(1e-6)
    expect([...a]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1])
    const { rank: none } = merge({ id: 'ties', density: 1e-6 }, [{ ...good, change }]).adapter.modules.get(
      'tall',
    )!
    expect(none).toBe(1)
  })

  it('updates that change nothing merge into a rank of one and zeros', () => {
    const still = {
      ...good,
      change: new Map([...good.change].map(([name, values]) => [name, values.map(() => 0)])),
    }
    for (const id of ['median', 'rfa', 'task'] as const) {
      for (const { rank, a, b } of merge({ id }, [still]).adapter.modules.values()) {
        expect(rank, id).toBe(1)
        expect([...a, ...b].every((value) => value === 0)).toBe(true)
      }
    }
    for (const { rank, a, b } of merge({ id: 'florist', tau: 0.999 }, [still]).adapter.modules.values()) {
      expect(rank).toBe(1)
      expect([...a, ...b].every((value) => value === 0)).toBe(true)
    }
  })
})
