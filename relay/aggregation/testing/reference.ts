/**
 * What numpy gets for every rule (models/fixtures/aggregation/README.md): five clients' adapters of three matrices
 * and the merged deltas, as the tests of the merge and of the command line read them.
 */
import { readFileSync } from 'node:fs'
import type { Adapter, LoraFactors } from '../../../models/adapters/adapter.ts'
import { parseSafetensors, toFloat32 } from '../../../models/formats/safetensors.ts'

const folder = new URL('../../../models/fixtures/aggregation/', import.meta.url)

export interface ReferenceCase {
  readonly counts: number[]
  readonly adapters: Adapter[]
  /** [out, in] by `RULE.MATRIX` */
  readonly results: Map<string, { shape: readonly number[]; values: Float64Array }>
  readonly json: Record<string, unknown>
}

export function referenceCase(name: string): ReferenceCase {
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
export function delta({ rank, alpha, a, b, inFeatures, outFeatures }: LoraFactors): Float64Array {
  const out = new Float64Array(outFeatures * inFeatures)
  for (let o = 0; o < outFeatures; o++)
    for (let r = 0; r < rank; r++)
      for (let i = 0; i < inFeatures; i++)
        out[o * inFeatures + i]! += (alpha / rank) * b[o * rank + r]! * a[r * inFeatures + i]!
  return out
}

/** Largest absolute difference of two lists of the same length. */
export function furthest(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) throw new Error(`${x.length} numbers against ${y.length}`)
  let worst = 0
  for (let i = 0; i < x.length; i++) worst = Math.max(worst, Math.abs(x[i]! - y[i]!))
  return worst
}
