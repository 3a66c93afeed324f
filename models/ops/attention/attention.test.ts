/**
 * Attention on every engine against the float64 reference: grouped heads, odd lengths, causal and not; and
 * generation with a cache against attention over the whole sequence.
 */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../../backend/engine.ts'
import { PlanEngine } from '../../plan/plan-engine.ts'
import { expectNear, expectWithin } from '../../testing/close.ts'
import { onEveryEngine } from '../../testing/on-every-engine.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import type { AttentionShape } from '../ops.ts'

/** Of the largest entry. */
const TOLERANCE = 1e-5
/** Keys and values rounded to float16, to 5e-4 of each. */
const HALF = 2e-3

const keepsHalves = (engine: Engine) => engine instanceof PlanEngine && engine.halfCache

const shapes: AttentionShape[] = [
  { batch: 2, tokens: 17, heads: 4, kvHeads: 2, headDim: 8, causal: true },
  { batch: 2, tokens: 17, heads: 3, kvHeads: 3, headDim: 12, causal: true },
  { batch: 1, tokens: 1, heads: 3, kvHeads: 1, headDim: 12, causal: true },
  { batch: 3, tokens: 5, heads: 6, kvHeads: 1, headDim: 4, causal: true },
  { batch: 1, tokens: 33, heads: 1, kvHeads: 1, headDim: 10, causal: true },
  { batch: 1, tokens: 130, heads: 6, kvHeads: 2, headDim: 32, causal: true },
  { batch: 1, tokens: 20, heads: 9, kvHeads: 3, headDim: 64, causal: true },
  { batch: 2, tokens: 9, heads: 2, kvHeads: 2, headDim: 12, causal: false },
  { batch: 1, tokens: 76, heads: 4, kvHeads: 2, headDim: 8, causal: false },
]

const words = ({ batch, tokens, heads, kvHeads, headDim, causal }: AttentionShape) =>
  `${batch} x ${tokens} tokens, ${heads} heads over ${kvHeads} of ${headDim}${causal ? ', causal' : ''}`

onEveryEngine('attention', (engine) => {
  describe.each(shapes.map((shape) => [words(shape), shape] as const))('%s', (_, shape) => {
    const { batch, tokens, heads, kvHeads, headDim } = shape
    const inputs = {
      // Wide scores, so that the softmax is far from uniform.
      q: matrix(batch * tokens, heads * headDim, 1, 2),
      k: matrix(batch * tokens, kvHeads * headDim, 2, 2),
      v: matrix(batch * tokens, kvHeads * headDim, 3),
      dOut: matrix(batch * tokens, heads * headDim, 4),
    }
    const [q, k, v] = [inputs.q.values, inputs.k.values, inputs.v.values]

    it('forward and backward', async () => {
      const read = ['out', 'logSumExp', 'dq', 'dk', 'dv'] as const
      const found = await runOps(engine(), inputs, read, (ops, given) => {
        const { out, logSumExp } = ops.attention.forward(given.q, given.k, given.v, shape)
        return {
          out,
          logSumExp,
          ...ops.attention.backward(given.dOut, given.q, given.k, given.v, out, logSumExp, shape),
        }
      })
      const forward = reference.attention(q, k, v, shape)
      const backward = reference.attentionBackward(inputs.dOut.values, q, k, v, shape)
      expectNear(found.out, forward.out, TOLERANCE, 'out')
      expectNear(found.logSumExp, forward.logSumExp, TOLERANCE, 'logSumExp')
      // One token attends to itself alone: the gradients of q and k are 0, and only rounding remains.
      const scale = tokens === 1 ? 1 : 0
      expectWithin(found.dq, backward.dq, Math.max(TOLERANCE * scale, TOLERANCE * peak(backward.dq)), 'dq')
      expectWithin(found.dk, backward.dk, Math.max(TOLERANCE * scale, TOLERANCE * peak(backward.dk)), 'dk')
      expectNear(found.dv, backward.dv, TOLERANCE, 'dv')
    })
  })

  it.each([
    [{ batch: 2, tokens: 17, heads: 4, kvHeads: 2, headDim: 8, causal: true }, [[5, 6, 17], [17]]],
    [{ batch: 1, tokens: 70, heads: 3, kvHeads: 1, headDim: 12, causal: true }, [[33, 34, 66, 70]]],
    [
      { batch: 3, tokens: 40, heads: 2, kvHeads: 2, headDim: 64, causal: true },
      [
        [1, 40],
        [20, 40],
        [39, 40],
      ],
    ],
  ])('%j, documents ending at %j: none sees another', async (shape, ends) => {
    const { batch, tokens, heads, kvHeads, headDim } = shape
    const segments = Int32Array.from(
      ends.flatMap((own) =>
        own.flatMap((end, i) => new Array<number>(end - (own[i - 1] ?? 0)).fill(own[i - 1] ?? 0)),
      ),
    )
    const inputs = {
      q: matrix(batch * tokens, heads * headDim, 1, 2),
      k: matrix(batch * tokens, kvHeads * headDim, 2, 2),
      v: matrix(batch * tokens, kvHeads * headDim, 3),
      dOut: matrix(batch * tokens, heads * headDim, 4),
      segments: { values: segments, shape: [batch * tokens] },
    }
    const found = await runOps(engine(), inputs, ['out', 'dq', 'dk', 'dv'], (ops, given) => {
      const { q, k, v } = given
      const { out, logSumExp } = ops.attention.forward(q, k, v, shape, given.segments)
      const gradients = ops.attention.backward(given.dOut, q, k, v, out, logSumExp, shape, given.segments)
      return { out, ...gradients }
    })
    const [q, k, v] = [inputs.q.values, inputs.k.values, inputs.v.values]
    expectNear(found.out, reference.attention(q, k, v, shape, segments).out, TOLERANCE, 'out')
    const expected = reference.attentionBackward(inputs.dOut.values, q, k, v, shape, segments)
    expectNear(found.dq, expected.dq, TOLERANCE, 'dq')
    expectNear(found.dk, expected.dk, TOLERANCE, 'dk')
    expectNear(found.dv, expected.dv, TOLERANCE, 'dv')
  })

  it.each([
    [4, 2, 8, 17],
    [3, 3, 12, 9],
    [6, 1, 4, 40],
  ])(
    'cached, %i heads over %i of %i, capacity %i: in pieces as in one',
    async (heads, kvHeads, headDim, capacity) => {
      const tokens = 8
      const shape = { batch: 1, tokens, heads, kvHeads, headDim, causal: true }
      const [q, k, v] = [
        matrix(tokens, heads * headDim, 1),
        matrix(tokens, kvHeads * headDim, 2),
        matrix(tokens, kvHeads * headDim, 3),
      ]
      const cache = engine().kvCache(capacity, kvHeads * headDim)
      const found: number[] = []
      // A prompt of 5 rows, then one row at a time, as generation does; rows 5 and 6 of the first piece are
      // surplus, as when a chunk runs past the prompt's end, and must leave no trace.
      for (const [start, rows, kept] of [
        [0, 7, 5],
        [5, 1, 1],
        [6, 1, 1],
        [7, 1, 1],
      ]) {
        const part = ({ values, shape: [, width] }: ReturnType<typeof matrix>, garbage: boolean) => ({
          values: values
            .slice(start * width, (start + rows) * width)
            .map((entry, i) => (garbage && i >= kept * width ? entry + 50 : entry)),
          shape: [rows, width],
        })
        const positions = { values: Int32Array.from({ length: rows }, (_, i) => start + i), shape: [rows] }
        const { out } = await runOps(
          engine(),
          { q: part(q, false), k: part(k, true), v: part(v, true), positions },
          ['out'],
          (ops, given) => ({
            out: ops.attention.cached(given.q, given.k, given.v, cache, given.positions, heads, headDim),
          }),
        )
        expect(out.length).toBe(rows * heads * headDim)
        found.push(...out.subarray(0, kept * heads * headDim))
      }
      const tolerance = keepsHalves(engine()) ? HALF : TOLERANCE
      expectNear(found, reference.attention(q.values, k.values, v.values, shape).out, tolerance, 'out')
      engine().free(cache)
    },
  )
})

const peak = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
