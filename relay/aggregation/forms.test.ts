/** Rooms whose clients train B alone or a core R alone: 1 to 64 clients, any order, withdrawals, every strategy. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Adapter, type LoraFactors, loraA, loraB, loraR } from '../../models/adapters/adapter.ts'
import { type Contribution, FactorSum, mergeUpdates, roundStart, type StrategyChoice } from './index.ts'
import { delta, furthest, referenceCase } from './testing/reference.ts'

const RANK = 2
const SHAPES = [
  { name: 'wide', inFeatures: 6, outFeatures: 4 },
  { name: 'tall', inFeatures: 3, outFeatures: 5 },
]

type Frozen = 'ffa' | 'lora-sb'

const initialOf = (form: Frozen): Adapter => ({
  modules: new Map(
    SHAPES.map((module): [string, LoraFactors] => [
      module.name,
      {
        ...module,
        rank: RANK,
        alpha: 3,
        a: Float32Array.from({ length: RANK * module.inFeatures }, (_, i) => Math.sin(i + 1)),
        b: Float32Array.from({ length: RANK * module.outFeatures }, (_, i) => Math.cos(i + 1)),
        ...(form === 'lora-sb' && { r: Float32Array.of(0.5, 0, -0.25, 0) }),
      },
    ]),
  ),
})

const tensorOf = (form: Frozen, { name }: { name: string }) => (form === 'ffa' ? loraB(name) : loraR(name))

const numbers = (length: number) =>
  fc.float32Array({ min: -8, max: 8, noNaN: true, minLength: length, maxLength: length })

const rounds = (form: Frozen) =>
  fc
    .uniqueArray(
      fc.record({
        digest: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 }),
        examples: fc.integer({ min: 1, max: 1000 }),
        change: fc
          .tuple(...SHAPES.map((module) => numbers(RANK * (form === 'ffa' ? module.outFeatures : RANK))))
          .map((all) => new Map(all.map((values, m) => [tensorOf(form, SHAPES[m]!), values]))),
      }),
      { selector: ({ digest }) => digest, minLength: 1, maxLength: 64 },
    )
    .chain((updates) =>
      fc.record({
        updates: fc.constant(updates),
        shuffled: fc.shuffledSubarray(updates, { minLength: updates.length }),
        some: fc.shuffledSubarray(updates),
      }),
    )

const merge = (form: Frozen, strategy: StrategyChoice, updates: Contribution[]) =>
  mergeUpdates({ strategy, initial: initialOf(form), form, manifestDigest: 'm', updates })

const bits = ({ modules }: Adapter) =>
  [...modules.values()].map(({ rank, alpha, a, b, r }) => [
    rank,
    alpha,
    Buffer.from(a.buffer).toString('hex'),
    Buffer.from(b.buffer).toString('hex'),
    r,
  ])

/** One client's delta of a module, formed entry by entry. */
const clientDelta = (form: Frozen, update: Contribution, module: LoraFactors) => {
  const change = update.change.get(tensorOf(form, module))!
  if (form === 'ffa') return delta({ ...module, b: module.b.map((value, i) => value + change[i]!) })
  const core = module.r!.map((value, i) => value + change[i]!)
  const folded = new Float32Array(module.b.length)
  for (let i = 0; i < folded.length; i++) {
    const row = Math.floor(i / RANK) * RANK
    for (let q = 0; q < RANK; q++) folded[i]! += module.b[row + q]! * core[q * RANK + (i % RANK)]!
  }
  return delta({ ...module, b: folded })
}

const every: StrategyChoice[] = [
  { id: 'florist', tau: 0.999 },
  { id: 'fedit' },
  { id: 'stack' },
  { id: 'svd', rank: 1 },
  { id: 'task', clip: 'median', lambda: 1.5 },
  { id: 'ties', density: 0.4 },
  { id: 'dare', density: 0.5, seed: 's' },
  { id: 'median' },
  { id: 'trimmed-mean', trim: 0.2, clip: 3 },
  { id: 'rfa' },
]

describe.each(['ffa', 'lora-sb'] as const)('form %s', (form) => {
  const initial = initialOf(form)

  it.each([...every, { id: form } as const])(
    '%o: the same bits in any order, duplicates without effect',
    (strategy) => {
      fc.assert(
        fc.property(rounds(form), ({ updates, shuffled, some }) => {
          const one = merge(form, strategy, updates)
          const other = merge(form, strategy, [...shuffled, ...some])
          expect(other.digest).toBe(one.digest)
          expect(bits(other.adapter)).toEqual(bits(one.adapter))
          for (const { r } of one.adapter.modules.values()) expect(r).toBeUndefined()
        }),
        { numRuns: 8 },
      )
    },
  )

  it.each([
    { id: form },
    { id: 'fedit' },
    { id: 'task' },
    { id: 'stack' },
    { id: 'florist', tau: 1 },
  ] as StrategyChoice[])('%o is the weighted mean of the deltas', (strategy) => {
    fc.assert(
      fc.property(rounds(form), ({ updates }) => {
        const { adapter } = merge(form, strategy, updates)
        const examples = updates.reduce((sum, one) => sum + one.examples, 0)
        for (const module of initial.modules.values()) {
          const expected = new Float64Array(module.inFeatures * module.outFeatures)
          for (const update of updates) {
            clientDelta(form, update, module).forEach((value, i) => {
              expected[i]! += (update.examples / examples) * value
            })
          }
          expect(furthest(delta(adapter.modules.get(module.name)!), expected)).toBeLessThan(3e-5)
        }
      }),
      { numRuns: 15 },
    )
  })

  it('the median goes over what is sent, entry by entry, and keep the rank', () => {
    fc.assert(
      fc.property(rounds(form), ({ updates }) => {
        const median = merge(form, { id: 'median' }, updates).adapter
        for (const module of initial.modules.values()) {
          const middle = Float32Array.from(updates[0]!.change.get(tensorOf(form, module))!, (_, i) => {
            const sorted = updates
              .map(({ change }) => change.get(tensorOf(form, module))![i]!)
              .sort((x, y) => x - y)
            return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
          })
          const expected = clientDelta(
            form,
            { ...updates[0]!, change: new Map([[tensorOf(form, module), middle]]) },
            module,
          )
          const merged = median.modules.get(module.name)!
          expect(merged.rank).toBe(RANK)
          expect(furthest(delta(merged), expected)).toBeLessThan(1e-4)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('rfa has the deltas’ own geometric median', () => {
    fc.assert(
      fc.property(rounds(form), ({ updates }) => {
        const { adapter } = merge(form, { id: 'rfa' }, updates)
        const start = initial.modules
        // The same updates as plain LoRA over the same A, whose rfa works on deltas alone.
        const plain: Adapter = {
          modules: new Map(
            [...start].map(([name, { r: _, ...factors }]) => [
              name,
              { ...factors, b: new Float32Array(factors.b.length) },
            ]),
          ),
        }
        const asLora = updates.map((update) => ({
          ...update,
          change: new Map(
            [...start.values()].flatMap((module) => [
              [loraA(module.name), new Float32Array(module.a.length)] as const,
              [loraB(module.name), foldedB(form, update, module)] as const,
            ]),
          ),
        }))
        fc.pre(
          asLora.every(({ change }) =>
            [...change.values()].every((x) => x.every((value) => Math.abs(value) <= 8)),
          ),
        )
        const expected = mergeUpdates({
          strategy: { id: 'rfa' },
          initial: plain,
          manifestDigest: 'm',
          updates: asLora,
        })
        for (const [name, factors] of adapter.modules) {
          expect(factors.rank).toBe(RANK)
          expect(furthest(delta(factors), delta(expected.adapter.modules.get(name)!))).toBeLessThan(1e-3)
        }
      }),
      { numRuns: 10 },
    )
  })

  it('one that comes and goes leaves no trace in the running sum', () => {
    fc.assert(
      fc.property(rounds(form), ({ updates, shuffled, some }) => {
        fc.pre(some.length < updates.length)
        const start = roundStart(initial, form)
        const sum = new FactorSum(start)
        for (const update of shuffled) sum.add(update)
        for (const update of some) sum.remove(update)
        const rest = new FactorSum(start)
        for (const update of updates) if (!some.includes(update)) rest.add(update)
        expect(bits(sum.result())).toEqual(bits(rest.result()))
        expect(sum.contributions).toBe(updates.length - some.length)
      }),
      { numRuns: 20 },
    )
  })

  it('refuses tensors of another form, and a strategy of another form', () => {
    const [round] = fc.sample(rounds(form), { numRuns: 1, seed: 1 })
    const update = round!.updates[0]!
    const more = new Map([...update.change, [loraA('wide'), new Float32Array(RANK * 6)]])
    expect(() => merge(form, { id: form }, [{ ...update, change: more }])).toThrow(
      expect.objectContaining({ code: 'merge/shape' }),
    )
    expect(() => merge(form, { id: form === 'ffa' ? 'lora-sb' : 'ffa' }, [update])).toThrow(
      expect.objectContaining({ code: 'merge/strategy' }),
    )
  })
})

const foldedB = (form: Frozen, update: Contribution, { name, b, r }: LoraFactors) => {
  const change = update.change.get(form === 'ffa' ? loraB(name) : loraR(name))!
  if (form === 'ffa') return b.map((value, i) => value + change[i]!)
  return b.map((_, i) => {
    const row = Math.floor(i / RANK) * RANK
    let sum = 0
    for (let q = 0; q < RANK; q++)
      sum += b[row + q]! * (r![q * RANK + (i % RANK)]! + change[q * RANK + (i % RANK)]!)
    return sum
  })
}

it('ffa from updates that hold only B equals the numpy reference', () => {
  for (const name of ['shared', 'independent']) {
    const { adapters, counts, results } = referenceCase(name)
    const initial: Adapter = {
      modules: new Map(
        [...adapters[0]!.modules].map(([module, factors]) => [
          module,
          { ...factors, b: new Float32Array(factors.b.length) },
        ]),
      ),
    }
    const updates = adapters.map((adapter, k) => ({
      digest: `${k}`.repeat(64),
      examples: counts[k]!,
      change: new Map([...adapter.modules].map(([module, { b }]) => [loraB(module), b])),
    }))
    const { adapter } = mergeUpdates({
      strategy: { id: 'ffa' },
      initial,
      form: 'ffa',
      manifestDigest: 'm',
      updates,
    })
    for (const [module, factors] of adapter.modules) {
      expect(furthest(delta(factors), results.get(`ffa.${module}`)!.values)).toBeLessThan(1e-5)
      expect(furthest(factors.b, results.get(`ffa.${module}.B`)!.values)).toBeLessThan(1e-5)
    }
  }
})
