/**
 * Every way of writing attention that a tuner may choose, on the adapter present, against the float64 reference: forward
 * and backward, of windows that hold several documents.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeGpuDevice } from '../../backend/node.ts'
import { createPlanEngine, type PlanEngine } from '../../plan/plan-engine.ts'
import { expectNear } from '../../testing/close.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import { VariantChooser } from '../../testing/variant-chooser.ts'

const TOLERANCE = 1e-5
const full = process.env.ONEROUND_FULL === '1'
const SHAPE = { batch: 1, tokens: 70, heads: 2, kvHeads: 1, headDim: 8, causal: true }
/** Documents of 33, 1 and 36 rows. */
const SEGMENTS = Int32Array.from({ length: 70 }, (_, t) => (t < 33 ? 0 : t < 34 ? 33 : 34))
const VARIANTS = full ? ['memory32', 'tile64', 'tile32', 'subgroup32'] : ['tile64']

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('ways of attention', () => {
  const chooser = new VariantChooser()
  let engine: PlanEngine
  beforeAll(async () => {
    engine = createPlanEngine({ ...(await openNodeGpuDevice()), style: 'workgroup', tuner: chooser })
  })
  afterAll(() => engine?.dispose())

  it.each(VARIANTS)('%s', async (variant) => {
    if (variant.startsWith('subgroup') && engine.subgroupLanes === 0) {
      console.warn(`subgroup is not tested: ${engine.device} has no subgroups of 4 or more.`)
      return
    }
    chooser.want(variant)
    const { tokens, heads, kvHeads, headDim } = SHAPE
    const inputs = {
      q: matrix(tokens, heads * headDim, 1, 2),
      k: matrix(tokens, kvHeads * headDim, 2, 2),
      v: matrix(tokens, kvHeads * headDim, 3),
      dOut: matrix(tokens, heads * headDim, 4),
      segments: { values: SEGMENTS, shape: [tokens] },
    }
    const found = await runOps(engine, inputs, ['out', 'dq', 'dk', 'dv'], (ops, given) => {
      const { q, k, v, dOut, segments } = given
      const { out, logSumExp } = ops.attention.forward(q, k, v, SHAPE, segments)
      return { out, ...ops.attention.backward(dOut, q, k, v, out, logSumExp, SHAPE, segments) }
    })
    expect(chooser.taken, `dispatches in the variant ${variant}`).toBe(3)
    const [q, k, v] = [inputs.q.values, inputs.k.values, inputs.v.values]
    expectNear(found.out, reference.attention(q, k, v, SHAPE, SEGMENTS).out, TOLERANCE, 'out')
    const expected = reference.attentionBackward(inputs.dOut.values, q, k, v, SHAPE, SEGMENTS)
    expectNear(found.dq, expected.dq, TOLERANCE, 'dq')
    expectNear(found.dk, expected.dk, TOLERANCE, 'dk')
    expectNear(found.dv, expected.dv, TOLERANCE, 'dv')
  })
})
