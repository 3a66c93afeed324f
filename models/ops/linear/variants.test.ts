/**
 * Every variant of the matrix products that a tuner may choose, on the adapter present, against the float64 reference:
 * over a packed weight, forward and backward; in the full tests with everything that a layer can add, which a software
 * adapter compiles for a minute.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeGpuDevice } from '../../backend/node.ts'
import { createPlanEngine, type PlanEngine } from '../../plan/plan-engine.ts'
import { expectNear } from '../../testing/close.ts'
import { normals } from '../../testing/normals.ts'
import { packedMatrix } from '../../testing/packed.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import { VariantChooser } from '../../testing/variant-chooser.ts'
import type { MatmulVariant } from './matmul.wgsl.ts'

const TOLERANCE = 1e-5
/** Where tiles are float16: eleven bits of each number, in sums of about a hundred. */
const HALF_TOLERANCE = 1e-3
const full = process.env.ONEROUND_FULL === '1'
const SHAPE = { inFeatures: 96, outFeatures: 132, rank: 8 }
/** The tiles differ in one constant, and a software adapter compiles each for ten seconds: all in the full tests. */
const VARIANTS: readonly MatmulVariant[] = full
  ? ['tiled', 'tiled64', 'tiled32', 'subgroup', 'tiledHalf', 'tiled64Half', 'tiled32Half']
  : ['tiled32', 'subgroup']
/** Rows that end inside an invocation's, and where one ends. */
const CASES = VARIANTS.flatMap((variant) => (full ? [70, 72] : [70]).map((rows) => [variant, rows] as const))

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('variants of matrix products', () => {
  const chooser = new VariantChooser()
  let engine: PlanEngine
  beforeAll(async () => {
    engine = createPlanEngine({ ...(await openNodeGpuDevice()), style: 'workgroup', tuner: chooser })
  })
  afterAll(() => engine?.dispose())

  it.each(CASES)('%s, %i rows', async (variant, rows) => {
    if (variant === 'subgroup' && engine.subgroupLanes === 0) {
      console.warn(`subgroup is not tested: ${engine.device} has no subgroups of 4 or more.`)
      return
    }
    const half = variant.endsWith('Half')
    if (half && !engine.halfTiles) {
      console.warn(`${variant} is not tested: ${engine.device} has no shader-f16.`)
      return
    }
    chooser.want(variant)
    const { inFeatures, outFeatures, rank } = SHAPE
    const { type, blocks, values } = packedMatrix('Q4_1', [outFeatures, inFeatures], 1)
    const weight = engine.packed(type, blocks, [outFeatures, inFeatures])
    const bias = normals(outFeatures, 2)
    const frozenBias = engine.constant(bias, [outFeatures])
    const [a, b] = [normals(rank * inFeatures, 3, 0.4), normals(outFeatures * rank, 4, 0.5)]
    const set = engine.parameters([
      { name: 'a', shape: [rank, inFeatures] },
      { name: 'b', shape: [outFeatures, rank] },
    ])
    set.write(new Map(Object.entries({ a, b })))
    const scale = 1.75
    const lora = { a: set.parameters.get('a')!, b: set.parameters.get('b')!, scale }
    const layer = { weight, ...(full && { bias: frozenBias, lora }) }
    const tolerance = half ? HALF_TOLERANCE : TOLERANCE
    const inputs = {
      x: matrix(rows, inFeatures, 5),
      dy: matrix(rows, outFeatures, 6),
      residual: matrix(rows, outFeatures, 7),
      addTo: matrix(rows, inFeatures, 8),
    }
    const found = await runOps(engine, inputs, ['y', 'dx'], (ops, { x, dy, residual, addTo }) => ({
      y: ops.linear.forward(x, layer, full ? { residual } : {}),
      dx: ops.linear.backward(dy, x, layer, full ? { addTo } : {}),
    }))
    expect(chooser.taken, `dispatches in the variant ${variant}`).toBeGreaterThanOrEqual(2)
    const plain = {
      rows,
      inFeatures,
      outFeatures,
      weight: values,
      ...(full && { bias, lora: { rank, a, b, scale } }),
    }
    const [residual, addTo] = full ? [inputs.residual.values, inputs.addTo.values] : []
    expectNear(found.y, reference.linear(inputs.x.values, plain, residual), tolerance, 'y')
    const expected = reference.linearBackward(inputs.dy.values, inputs.x.values, plain, addTo)
    expectNear(found.dx, expected.dx, tolerance, 'dx')
    if (full) {
      const gradients = await set.readGradients()
      expectNear(gradients.get('a')!, expected.da!, TOLERANCE, 'dA')
      expectNear(gradients.get('b')!, expected.db!, TOLERANCE, 'dB')
    }
    set.dispose()
    engine.free(weight)
    engine.free(frozenBias)
  })

  it('float16 holds numbers beyond its range at its largest, and gradients of any size', async (context) => {
    if (!engine.halfTiles) context.skip(`${engine.device} has no shader-f16`)
    chooser.want('tiled32Half')
    const [rows, width] = [16, 32]
    const identity = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0))
    const weight = engine.constant(identity, [width, width])
    const x = matrix(rows, width, 5)
    x.values.set([1e5, -1e6])
    // Below float16's smallest.
    const dy = matrix(rows, width, 6, 1e-9)
    const found = await runOps(engine, { x, dy }, ['y', 'dx'], (ops, { x, dy }) => ({
      y: ops.linear.forward(x, { weight }),
      dx: ops.linear.backward(dy, x, { weight }),
    }))
    expect(chooser.taken).toBe(2)
    expect([...found.y.subarray(0, 2)]).toEqual([65_504, -65_504])
    expectNear(found.dx, dy.values, TOLERANCE, 'dx')
    engine.free(weight)
  })
})
