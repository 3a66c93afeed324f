/**
 * RMSNorm as part of the products of few rows that read it (decoding), in every variant that a tuner may choose, against
 * the float64 reference of norm and product one after the other; and that the norm is then no dispatch of its own.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../backend/engine.ts'
import { openNodeGpuDevice } from '../../backend/node.ts'
import type { PackedType } from '../../formats/gguf-packed.ts'
import { createPlanEngine, type PlanEngine } from '../../plan/plan-engine.ts'
import { Recorder } from '../../plan/recorder.ts'
import { SizingEngine } from '../../plan/sizing-engine.ts'
import { expectNear } from '../../testing/close.ts'
import { normals } from '../../testing/normals.ts'
import { packedMatrix } from '../../testing/packed.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import { VariantChooser } from '../../testing/variant-chooser.ts'
import type { Linear, Ops, Tensor } from '../ops.ts'
import type { MatmulVariant } from './matmul.wgsl.ts'

const TOLERANCE = 1e-5
const EPS = 1e-5
const RANK = 4
const SCALE = 1.75
const full = process.env.ONEROUND_FULL === '1'

interface Case {
  readonly variant: MatmulVariant
  readonly rows: number
  readonly width: number
  /** Of layers that read the same normed rows. */
  readonly outputs: readonly number[]
  readonly type?: PackedType
  readonly lora?: true
  /** silu(first) second of the two. */
  readonly gated?: true
}

const cases: Case[] = [
  { variant: 'splitK', rows: 1, width: 260, outputs: [33] },
  { variant: 'subgroup', rows: 3, width: 64, outputs: [64, 64], type: 'Q4_1', gated: true },
]

/** Those that only compile for longer. */
const more: Case[] = [
  { variant: 'splitK', rows: 4, width: 256, outputs: [64, 64, 64], type: 'Q4_1', lora: true },
  { variant: 'splitK', rows: 1, width: 512, outputs: [96, 96], type: 'Q8_0', gated: true, lora: true },
  { variant: 'direct', rows: 2, width: 20, outputs: [7] },
  { variant: 'direct', rows: 3, width: 64, outputs: [64, 64], type: 'Q4_1', gated: true },
  { variant: 'subgroup', rows: 1, width: 96, outputs: [97], type: 'Q4_1' },
  { variant: 'subgroup', rows: 4, width: 64, outputs: [64, 64, 64], lora: true },
]

/** Layers as a model places them, with their numbers. */
function place(engine: Engine, { width, outputs, type, lora }: Omit<Case, 'variant' | 'rows'>) {
  const numbers = outputs.map((out, i) => {
    const packed = type && packedMatrix(type, [out, width], 10 + i)
    const weight = packed?.values ?? normals(out * width, 10 + i, 0.1)
    const a = normals(RANK * width, 20 + i, 0.2)
    const b = normals(out * RANK, 30 + i, 0.3)
    return { out, packed, weight, a, b }
  })
  const weights = engine.stack(
    numbers.map(({ out, packed, weight }) =>
      packed
        ? engine.packed(packed.type, packed.blocks, [out, width])
        : engine.constant(weight, [out, width]),
    ),
  )
  const set = engine.parameters([
    ...numbers.map((_, i) => ({ name: `a${i}`, shape: [RANK, width] as const })),
    ...numbers.map(({ out }, i) => ({ name: `b${i}`, shape: [out, RANK] as const })),
  ])
  set.write(new Map(numbers.flatMap(({ a, b }, i) => [[`a${i}`, a] as const, [`b${i}`, b] as const])))
  const layers = weights.map((weight, i): Linear => {
    const path = { a: set.parameters.get(`a${i}`)!, b: set.parameters.get(`b${i}`)!, scale: SCALE }
    return { weight, ...(lora && { lora: path }) }
  })
  const plain = (rows: number) =>
    numbers.map(({ out, weight, a, b }) => ({
      ...{ rows, inFeatures: width, outFeatures: out, weight },
      ...(lora && { lora: { rank: RANK, a, b, scale: SCALE } }),
    }))
  return {
    layers,
    plain,
    dispose: () => {
      set.dispose()
      for (const weight of weights) engine.free(weight)
    },
  }
}

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('few normed rows', () => {
  const chooser = new VariantChooser()
  let engine: PlanEngine
  beforeAll(async () => {
    engine = createPlanEngine({ ...(await openNodeGpuDevice()), style: 'workgroup', tuner: chooser })
  })
  afterAll(() => engine?.dispose())

  it.each(full ? [...cases, ...more] : cases)('%j', async (given) => {
    const { variant, rows, width, gated, lora } = given
    if (variant === 'subgroup' && engine.subgroupLanes === 0) {
      console.warn(`subgroup is not tested: ${engine.device} has no subgroups of 4 or more.`)
      return
    }
    chooser.want(variant)
    const { layers, plain, dispose } = place(engine, given)
    const weight = normals(width, 40)
    const norm = engine.constant(weight, [width])
    const inputs = { x: matrix(rows, width, 5, 3) }
    const names = gated ? ['y0'] : layers.map((_, i) => `y${i}`)
    const found = await runOps(engine, inputs, names, (ops, { x }) => {
      const normed = ops.rmsNorm.forward(x, norm, EPS)
      const results = gated
        ? [ops.swiglu.ofLayers(normed, [layers[0], layers[1]])]
        : ops.linear.forwardEach(normed, layers)
      return Object.fromEntries(results.map((result, i) => [`y${i}`, result]))
    })
    // The low-rank start too.
    expect(chooser.taken, `dispatches in the variant ${variant}`).toBe(lora ? 2 : 1)
    const normed = reference.rmsNorm(inputs.x.values, weight, rows, width, EPS)
    const results = plain(rows).map((layer) => reference.linear(normed, layer))
    const expected = gated ? [reference.swiglu(results[0], results[1])] : results
    expected.forEach((values, i) => {
      expectNear(found[`y${i}`], values, TOLERANCE, `y${i}`)
    })
    dispose()
    engine.free(norm)
  })
})

describe('the dispatches', () => {
  type Body = (ops: Ops, normed: Tensor, layers: readonly Linear[]) => Record<string, Tensor>
  const count = async (rows: number, body: Body, outputs: readonly number[] = [64, 64], lora?: true) => {
    const engine = new SizingEngine()
    const { layers } = place(engine, { width: 64, outputs, ...(lora && { lora }) })
    const norm = engine.constant(normals(64, 1), [64])
    const specs = [{ name: 'x', shape: [rows, 64], dtype: 'float32' } as const]
    const program = await engine.program('case', specs, (ops, { x }) =>
      body(ops, ops.rmsNorm.forward(x, norm, EPS), layers),
    )
    return program.stats.dispatches
  }
  const gated: Body = (ops, normed, [gate, up]) => ({ y: ops.swiglu.ofLayers(normed, [gate, up]) })

  it('of few rows are the products alone', async () => {
    expect([await count(1, gated), await count(4, gated), await count(5, gated)]).toEqual([1, 1, 2])
    expect([await count(1, gated, [64, 64], true), await count(5, gated, [64, 64], true)]).toEqual([2, 3])
  })

  it('hold the norm where another kernel reads it, before or after', async () => {
    const also =
      (first: boolean): Body =>
      (ops, normed, [gate, up]) => {
        const before = first && ops.silu(normed)
        const y = ops.swiglu.ofLayers(normed, [gate, up])
        return { y, other: before || ops.silu(normed) }
      }
    expect([await count(1, also(true)), await count(1, also(false))]).toEqual([3, 3])
    expect(await count(1, (ops, normed, [gate]) => ({ normed, y: ops.linear.forward(normed, gate) }))).toBe(2)
  })

  it('hold it where what was normed is written over', () => {
    const recorder = new Recorder('workgroup')
    const [x, y, weight] = [recorder.tensor([1, 64]), recorder.tensor([1, 64]), recorder.tensor([64])]
    recorder.normed(y, { x, weight, eps: EPS })
    const other = { name: 'other', body: '', workgroups: [1, 1, 1], flops: 0 } as const
    recorder.dispatch({ ...other, reads: { x }, writes: { z: recorder.tensor([1, 64]) } })
    expect(recorder.normOf(y)).toMatchObject({ x })
    recorder.dispatch({ ...other, reads: {}, updates: { x }, writes: {} })
    expect(recorder.normOf(y)).toBeUndefined()
  })

  it('hold it before a product with a vocabulary of outputs', async () => {
    const head: Body = (ops, normed, [{ weight }]) => ({ y: ops.lastRowLogits(normed, weight) })
    expect([await count(1, head, [16_384]), await count(1, head, [16_388])]).toEqual([1, 2])
  })
})
