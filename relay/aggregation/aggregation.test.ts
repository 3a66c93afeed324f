import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Adapter, LoraFactors } from '../../models/adapters/adapter.ts'
import { loraA, loraB } from '../../models/adapters/adapter.ts'
import { parseSafetensors, toFloat32 } from '../../models/formats/safetensors.ts'
import { type Contribution, mergeAdapters, mergeUpdates } from './index.ts'

const folder = new URL('../../models/fixtures/aggregation/', import.meta.url)

interface Case {
  readonly counts: number[]
  readonly adapters: Adapter[]
  /** [out, in] by `RULE.MATRIX` */
  readonly results: Map<string, { shape: readonly number[]; values: Float64Array }>
  readonly json: Record<string, unknown>
}

function load(name: string): Case {
  const json = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
  const inputs = parseSafetensors(readFileSync(new URL(`${name}.inputs.safetensors`, folder))).tensors
  const results = parseSafetensors(readFileSync(new URL(`${name}.results.safetensors`, folder))).tensors
  const adapters = json.counts.map((_: number, k: number) => {
    const modules = new Map<string, LoraFactors>()
    for (const module of ['m0', 'm1', 'm2']) {
      const a = inputs.get(`client${k}.${module}.lora_A`)!
      const b = inputs.get(`client${k}.${module}.lora_B`)!
      modules.set(module, {
        name: module,
        inFeatures: a.shape[1]!,
        outFeatures: b.shape[0]!,
        rank: a.shape[0]!,
        alpha: json.alpha,
        a: toFloat32(a),
        b: toFloat32(b),
      })
    }
    return { modules }
  })
  const doubles = new Map(
    [...results].map(([key, { shape, bytes }]) => [
      key,
      { shape, values: new Float64Array(bytes.slice().buffer) },
    ]),
  )
  return { counts: json.counts, adapters, results: doubles, json }
}

/** s B A, [out, in]. */
function delta({ rank, alpha, a, b, inFeatures, outFeatures }: LoraFactors): Float64Array {
  const out = new Float64Array(outFeatures * inFeatures)
  for (let o = 0; o < outFeatures; o++)
    for (let r = 0; r < rank; r++)
      for (let i = 0; i < inFeatures; i++)
        out[o * inFeatures + i]! += (alpha / rank) * b[o * rank + r]! * a[r * inFeatures + i]!
  return out
}

function furthest(x: ArrayLike<number>, y: ArrayLike<number>): number {
  expect(x.length).toBe(y.length)
  let worst = 0
  for (let i = 0; i < x.length; i++) worst = Math.max(worst, Math.abs(x[i]! - y[i]!))
  return worst
}

/** The adapters as one room's updates: client 0's A is everyone's start. */
function asRound({ adapters, counts }: Case): { initial: Adapter; updates: Contribution[] } {
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
  const fixture = load(name)
  const expectDeltas = (rule: string, merged: Adapter, tolerance: number) => {
    for (const [module, factors] of merged.modules) {
      const expected = fixture.results.get(`${rule}.${module}`)!
      expect(furthest(delta(factors), expected.values), `${rule}.${module}`).toBeLessThan(tolerance)
    }
  }
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
