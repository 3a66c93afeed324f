/** The counts against loops that do the work and count it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  attentionBackwardFlops,
  attentionForwardFlops,
  generationFlops,
  headFlops,
  type LlamaSizes,
  linearBackwardFlops,
  linearForwardFlops,
  productFlops,
  trainingStepFlops,
} from './counts.ts'

const side = fc.integer({ min: 1, max: 6 })

/** Counts every multiplication with its addition, one at a time. */
class Tally {
  flops = 0
  product(rows: number, inner: number, columns: number): void {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) for (let i = 0; i < inner; i++) this.flops += 2
  }
  /** For each head, query and earlier key: so many dot products over the head. */
  attention(batch: number, tokens: number, heads: number, headDim: number, dots: number): void {
    for (let b = 0; b < batch; b++)
      for (let h = 0; h < heads; h++)
        for (let q = 0; q < tokens; q++) for (let k = 0; k <= q; k++) this.flops += 2 * dots * headDim
  }
}

const of = (work: (tally: Tally) => void) => {
  const tally = new Tally()
  work(tally)
  return tally.flops
}

describe('counts of work', () => {
  it('linear layers', () => {
    fc.assert(
      fc.property(side, side, side, fc.integer({ min: 0, max: 3 }), (rows, width, out, rank) => {
        const shape = { rows, width, out, rank }
        expect(productFlops(rows, width, out)).toBe(of((t) => t.product(rows, width, out)))
        expect(linearForwardFlops(shape)).toBe(
          of((t) => {
            t.product(rows, width, out)
            t.product(rows, width, rank)
            t.product(rows, rank, out)
          }),
        )
        const factors = (t: Tally) => {
          t.product(rows, out, rank) // dy B
          t.product(rank, rows, width) // (dy B)ᵀ x
          t.product(out, rows, rank) // dyᵀ (x Aᵀ)
        }
        expect(linearBackwardFlops(shape, false)).toBe(of(factors))
        expect(linearBackwardFlops(shape)).toBe(
          of((t) => {
            factors(t)
            t.product(rows, out, width) // dy W
            t.product(rows, rank, width) // (dy B) A
          }),
        )
      }),
    )
  })

  it('causal attention', () => {
    fc.assert(
      fc.property(side, side, side, side, (batch, tokens, heads, headDim) => {
        const work = { batch, tokens, heads, headDim }
        expect(attentionForwardFlops(work)).toBe(of((t) => t.attention(batch, tokens, heads, headDim, 2)))
        expect(attentionBackwardFlops(work)).toBe(of((t) => t.attention(batch, tokens, heads, headDim, 5)))
      }),
    )
  })

  const sizes: LlamaSizes = {
    layers: 3,
    hiddenSize: 8,
    intermediateSize: 12,
    heads: 4,
    kvHeads: 2,
    headDim: 2,
    vocabularySize: 20,
  }

  it('a step of one layer is its parts, and every further layer adds its own', () => {
    const shape = { batch: 2, tokens: 5, rank: 3 }
    const one = trainingStepFlops({ ...sizes, layers: 1 }, shape)
    const linear = (width: number, out: number) => ({ rows: 10, width, out, rank: 3 })
    const [q, k, o, up, down] = [linear(8, 8), linear(8, 4), linear(8, 8), linear(8, 12), linear(12, 8)]
    const all = [q, k, k, o, up, up, down]
    const attention = { batch: 2, tokens: 5, heads: 4, headDim: 2 }
    const forward = all.reduce((sum, one) => sum + linearForwardFlops(one), attentionForwardFlops(attention))
    const backward =
      [o, up, up, down].reduce((sum, one) => sum + linearBackwardFlops(one), 0) +
      [q, k, k].reduce((sum, one) => sum + linearBackwardFlops(one, false), 0) +
      attentionBackwardFlops(attention)
    expect(one.needed).toBe(forward + backward + headFlops(10, 8, 20, true))
    expect(one.performed).toBe(one.needed + forward - linearForwardFlops(down))
    const inputGradients = [q, k, k].reduce(
      (sum, one) => sum + linearBackwardFlops(one) - linearBackwardFlops(one, false),
      0,
    )
    const two = trainingStepFlops({ ...sizes, layers: 2 }, shape)
    expect(two.needed - one.needed).toBe(forward + backward + inputGradients)
  })

  it('taking a text in at once or in two parts is the same but for the logits between', () => {
    fc.assert(
      fc.property(side, side, (first, second) => {
        const apart = generationFlops(sizes, 0, first) + generationFlops(sizes, first, second)
        const between = headFlops(1, sizes.hiddenSize, sizes.vocabularySize, false)
        expect(apart - between).toBe(generationFlops(sizes, 0, first + second))
      }),
    )
  })
})
