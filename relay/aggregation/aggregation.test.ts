import { describe, expect, it } from 'vitest'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { loraA, loraB } from '../../models/adapters/adapter.ts'
import { clientsOfAdapters } from './client.ts'
import { clipFactors } from './clip.ts'
import { weightedStack } from './factor-stack.ts'
import { deltaNorms, gramMatrix } from './gram.ts'
import { type Contribution, mergeAdapters, mergeUpdates, type StrategyChoice } from './index.ts'
import { geometricMedian } from './rfa.ts'
import { delta, furthest, type ReferenceCase, referenceCase } from './testing/reference.ts'

/** The adapters as one room's updates: client 0's A is everyone's start. */
function asRound({ adapters, counts }: ReferenceCase): { initial: Adapter; updates: Contribution[] } {
  const initial: Adapter = {
    modules: new Map(
      [...adapters[0]!.modules].map(([name, factors]) => [
        name,
        { ...factors, b: new Float32Array(factors.b.length) },
      ]),
    ),
  }
  const updates = adapters.map((adapter, k) => ({
    digest: `${k}`.repeat(64),
    examples: counts[k]!,
    change: new Map(
      [...adapter.modules].flatMap(([name, { a, b }]) => [
        [loraA(name), a.map((value, i) => value - initial.modules.get(name)!.a[i]!)] as const,
        [loraB(name), b] as const,
      ]),
    ),
  }))
  return { initial, updates }
}

describe.each(['shared', 'independent', 'mixed'])('numpy reference, %s factors', (name) => {
  const fixture = referenceCase(name)
  const expectDeltas = (rule: string, merged: Adapter, tolerance: number) =>
    expectRule(fixture, rule, merged, tolerance)
  const merge = (strategy: Parameters<typeof mergeAdapters>[0]['strategy']) =>
    mergeAdapters({ strategy, weights: fixture.counts, adapters: fixture.adapters })

  it('florist at tau 1 is the exact weighted mean of the deltas', () => {
    expectDeltas('exact', merge({ id: 'florist', tau: 1 }), 1e-5)
  })

  it('florist at tau 0.9 keeps the reference ranks', () => {
    const merged = merge({ id: 'florist', tau: 0.9 })
    expectDeltas('florist', merged, 1e-4)
    const expected = fixture.json['florist_tau_0.9'] as Record<string, { rank: number }>
    for (const [module, { rank, alpha }] of merged.modules) {
      expect(rank).toBe(expected[module]!.rank)
      expect(alpha).toBe(rank)
    }
  })

  it('as updates of one room, florist gives the same', () => {
    if (name === 'mixed') {
      expect(() =>
        mergeUpdates({ strategy: { id: 'florist', tau: 1 }, manifestDigest: '', ...asRound(fixture) }),
      ).toThrow(/numbers in m0.lora_A.weight where 64 belong/)
      return
    }
    const round = asRound(fixture)
    const merged = mergeUpdates({ strategy: { id: 'florist', tau: 1 }, manifestDigest: 'm', ...round })
    expectDeltas('exact', merged.adapter, 1e-5)
  })

  it('fedit averages the factors, or says why it cannot', () => {
    if (name === 'mixed') {
      expect(() => merge({ id: 'fedit' })).toThrow(/needs one rank and alpha.*use florist/)
      return
    }
    const round = asRound(fixture)
    for (const merged of [
      merge({ id: 'fedit' }),
      mergeUpdates({ strategy: { id: 'fedit' }, manifestDigest: 'm', ...round }).adapter,
    ]) {
      expectDeltas('fedit', merged, 1e-5)
      for (const [module, { a, b }] of merged.modules) {
        expect(furthest(a, fixture.results.get(`fedit.${module}.A`)!.values)).toBeLessThan(1e-5)
        expect(furthest(b, fixture.results.get(`fedit.${module}.B`)!.values)).toBeLessThan(1e-5)
      }
    }
  })
})

describe.each(['shared', 'independent', 'mixed'])('numpy reference of the means, %s factors', (name) => {
  const fixture = referenceCase(name)

  it.each<[string, StrategyChoice, number]>([
    ['exact', { id: 'stack' }, 1e-5],
    ['exact', { id: 'task' }, 1e-5],
    ['exact', { id: 'stack', tau: 1 }, 1e-5],
    ['svd4', { id: 'svd', rank: 4 }, 1e-4],
    ['svd4', { id: 'stack', rank: 4 }, 1e-4],
    ['florist', { id: 'task', tau: 0.9 }, 1e-4],
  ])('%s: %o', (rule, strategy, tolerance) => {
    const merged = mergeAdapters({ strategy, weights: fixture.counts, adapters: fixture.adapters })
    expectRule(fixture, rule, merged, tolerance)
  })

  it('stack stacks the factors as they are', () => {
    const round = asClients(fixture)
    for (const module of fixture.adapters[0]!.modules.values()) {
      const { rank, alpha, a, b } = weightedStack(module, round, fixture.json.weights_p as number[]).stacked()
      expect(alpha).toBe(rank)
      expect(rank).toBe((fixture.json.ranks as number[]).reduce((sum, one) => sum + one, 0))
      expect(furthest(a, fixture.results.get(`stack.${module.name}.A`)!.values)).toBeLessThan(1e-12)
      expect(furthest(b, fixture.results.get(`stack.${module.name}.B`)!.values)).toBeLessThan(1e-6)
    }
  })

  it('svd keeps the reference singular values', () => {
    const strategy = { id: 'svd', rank: 4 } as const
    const merged = mergeAdapters({ strategy, weights: fixture.counts, adapters: fixture.adapters })
    for (const { name: module, rank, inFeatures, a } of merged.modules.values()) {
      const expected = fixture.results.get(`singular_values.${module}`)!.values
      for (let r = 0; r < rank; r++) {
        // Both factors carry the root of sigma, so A's row has it as its squared length.
        const row = a.subarray(r * inFeatures, (r + 1) * inFeatures)
        const sigma = row.reduce((sum, value) => sum + value * value, 0)
        expect(Math.abs(sigma - expected[r]!)).toBeLessThan(1e-4)
      }
    }
  })
})

describe.each(['shared', 'independent'])('numpy reference, %s factors', (name) => {
  const fixture = referenceCase(name)
  const { counts, adapters } = fixture
  const equal = counts.map(() => 1)
  const roots = counts.map(Math.sqrt)

  it.each<[string, StrategyChoice, number[], number]>([
    ['task_uniform', { id: 'task', lambda: 0.7 }, equal, 1e-5],
    ['task_weighted', { id: 'task', lambda: 0.7 }, counts, 1e-5],
    ['ties_global', { id: 'ties', density: 0.2 }, equal, 1e-5],
    ['ties_global', { id: 'ties', density: 0.2, scope: 'model' }, counts, 1e-5],
    ['ties_per_matrix', { id: 'ties', density: 0.2, scope: 'module' }, equal, 1e-5],
    ['ties_per_matrix', { id: 'ties', density: 0.2, scope: 'module', tau: 1 }, equal, 1e-5],
    ['median', { id: 'median' }, equal, 1e-5],
    ['median', { id: 'median', tau: 1 }, counts, 1e-5],
    ['trimmed_mean', { id: 'trimmed-mean', trim: 0.2 }, equal, 1e-5],
    ['trimmed_mean', { id: 'trimmed-mean', trim: 0.39 }, counts, 1e-5],
    ['geometric_uniform', { id: 'rfa' }, equal, 1e-4],
    ['geometric_weighted', { id: 'rfa' }, counts, 1e-4],
    ['geometric_sqrt', { id: 'rfa' }, roots, 1e-4],
    ['clip_weighted', { id: 'task', clip: 'median' }, counts, 1e-5],
    ['clip_weighted', { id: 'stack', clip: 'median' }, counts, 1e-5],
    ['clip_uniform', { id: 'task', clip: 'median' }, equal, 1e-5],
    ['clip_uniform', { id: 'task', clip: (fixture.json.clip as { C: number }).C }, equal, 1e-5],
  ])('%s: %o', (rule, strategy, weights, tolerance) => {
    expectRule(fixture, rule, mergeAdapters({ strategy, weights, adapters }), tolerance)
  })

  it.each<[string, StrategyChoice, number]>([
    ['task_weighted', { id: 'task', lambda: 0.7 }, 1e-5],
    ['median', { id: 'median' }, 1e-5],
    ['ties_global', { id: 'ties', density: 0.2 }, 1e-5],
    ['geometric_weighted', { id: 'rfa' }, 1e-4],
    ['clip_weighted', { id: 'stack', clip: 'median' }, 1e-5],
  ])('as updates of one room, %s: %o', (rule, strategy, tolerance) => {
    const merged = mergeUpdates({ strategy, manifestDigest: 'm', ...asRound(fixture) })
    expectRule(fixture, rule, merged.adapter, tolerance)
  })

  it('ffa averages B where A is frozen, and refuses where it is not', () => {
    const strategy = { id: 'ffa' } as const
    const frozen = {
      ...fixture,
      adapters: adapters.map((adapter) => ({
        modules: new Map(
          [...adapter.modules].map(([module, factors]) => [
            module,
            { ...factors, a: adapters[0]!.modules.get(module)!.a },
          ]),
        ),
      })),
    }
    for (const merged of [
      mergeAdapters({ strategy, weights: counts, adapters: frozen.adapters }),
      mergeUpdates({ strategy, manifestDigest: 'm', ...asRound(frozen) }).adapter,
    ]) {
      expectRule(fixture, 'ffa', merged, 1e-5)
      for (const [module, { a, b }] of merged.modules) {
        expect(a).toEqual(adapters[0]!.modules.get(module)!.a)
        expect(furthest(b, fixture.results.get(`ffa.${module}.B`)!.values)).toBeLessThan(1e-5)
      }
    }
    expect(() => mergeAdapters({ strategy, weights: counts, adapters })).toThrow(/differ in A of m0/)
    expect(() => mergeUpdates({ strategy, manifestDigest: 'm', ...asRound(fixture) })).toThrow(
      /changes A in m0/,
    )
  })

  it('the geometric median after three steps, and its objective', () => {
    const clients = asClients(fixture)
    const modules = [...adapters[0]!.modules.values()]
    const gram = gramMatrix(modules, clients)
    for (const [rule, weights] of [
      ['geometric_uniform', equal],
      ['geometric_weighted', counts],
      ['geometric_sqrt', roots],
    ] as const) {
      const after3 = geometricMedian(gram, weights, 3)
      for (const module of modules) {
        const expected = fixture.results.get(`${rule}_after3.${module.name}`)
        if (!expected) continue
        const merged = weightedStack(module, clients, after3).exact()
        expect(furthest(delta(merged), expected.values), rule).toBeLessThan(1e-4)
      }
      const reference = fixture.json[rule] as { objective: number; weights: number[] }
      const point = geometricMedian(gram, weights)
      const objective = reference.weights.reduce((sum, weight, k) => {
        const x = point.map((value, j) => value - (j === k ? 1 : 0))
        const squares = x.reduce(
          (all, xi, i) => all + xi * x.reduce((row, xj, j) => row + gram[i]![j]! * xj, 0),
          0,
        )
        return sum + weight * Math.sqrt(Math.max(0, squares))
      }, 0)
      expect(Math.abs(objective - reference.objective)).toBeLessThan(1e-5)
    }
    expect([...fixture.results.keys()].filter((key) => key.includes('_after3.')).length).toBeGreaterThan(0)
  })

  it('norms and clip factors are the reference ones', () => {
    const clip = fixture.json.clip as { norms: number[]; factors: number[] }
    const modules = [...adapters[0]!.modules.values()]
    expect(furthest(deltaNorms(modules, asClients(fixture)), clip.norms)).toBeLessThan(1e-12 * 30)
    expect(furthest(clipFactors(modules, asClients(fixture), 'median'), clip.factors)).toBeLessThan(1e-12)
  })

  it('dare drops by seed and digest alone, at the rate asked for, and keeps the mean', () => {
    const choice = { id: 'dare', density: 0.25, seed: 's' } as const
    const alone = (k: number, strategy: StrategyChoice) =>
      delta(mergeAdapters({ strategy, weights: [1], adapters: [adapters[k]!] }).modules.get('m1')!)
    const one = alone(1, choice)
    const whole = alone(1, { id: 'stack' })
    const kept = one.reduce((count, value) => count + (value === 0 ? 0 : 1), 0)
    expect(kept / one.length).toBeGreaterThan(0.2) // 1536 draws: 0.25 ± 4.5 standard deviations
    expect(kept / one.length).toBeLessThan(0.3)
    one.forEach((value, i) => {
      if (value !== 0) expect(Math.abs(value - whole[i]! / 0.25)).toBeLessThan(1e-5)
    })
    expect(alone(1, { ...choice, seed: 't' })).not.toEqual(one)
    expect(alone(1, { ...choice, density: 1 }).every((value, i) => Math.abs(value - whole[i]!) < 1e-5)).toBe(
      true,
    )
    // In company each keeps its own mask.
    const both = mergeAdapters({ strategy: choice, weights: [3, 1], adapters: [adapters[2]!, adapters[1]!] })
    const other = alone(2, choice)
    const mean = one.map((value, i) => 0.75 * other[i]! + 0.25 * value)
    expect(furthest(delta(both.modules.get('m1')!), mean)).toBeLessThan(1e-5)
  })
})

it('robust strategies hold against one client that sends a thousand times too much', () => {
  const { adapters } = referenceCase('shared')
  const blown = {
    modules: new Map(
      [...adapters[4]!.modules].map(([name, factors]) => [
        name,
        { ...factors, b: factors.b.map((value) => 1000 * value) },
      ]),
    ),
  }
  const norm = (strategy: StrategyChoice, clients: Adapter[]) =>
    Math.hypot(
      ...[
        ...mergeAdapters({ strategy, weights: clients.map(() => 1), adapters: clients }).modules.values(),
      ].flatMap((factors) => [...delta(factors)]),
    )
  const attacked = [...adapters.slice(0, 4), blown]
  expect(norm({ id: 'task' }, attacked)).toBeGreaterThan(1000)
  for (const strategy of [
    { id: 'median' },
    { id: 'trimmed-mean', trim: 0.2 },
    { id: 'rfa' },
    { id: 'task', clip: 'median' },
  ] as const) {
    expect(norm(strategy, attacked), strategy.id).toBeLessThan(30)
  }
})

function asClients({ adapters, json }: ReferenceCase) {
  return clientsOfAdapters(
    adapters,
    json.weights_p as number[],
    adapters.map((_, k) => `${k}`),
  )
}

function expectRule(fixture: ReferenceCase, rule: string, merged: Adapter, tolerance: number) {
  for (const [module, factors] of merged.modules) {
    const expected = fixture.results.get(`${rule}.${module}`)!
    expect(furthest(delta(factors), expected.values), `${rule}.${module}`).toBeLessThan(tolerance)
  }
}
