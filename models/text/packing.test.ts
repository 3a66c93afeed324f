/** Places in windows, and the program shapes a run takes: pure arithmetic over lengths. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BatchShape, Example, Model } from '../training/model.ts'
import { candidateShapes, chooseShapes, cutToFit, fits } from '../training/shapes.ts'
import { pack } from './packing.ts'

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 24 })
const anyShape = fc.record({ batch: fc.integer({ min: 1, max: 9 }), tokens: fc.integer({ min: 1, max: 60 }) })

describe('pack', () => {
  it('gives every document rows of its own inside a window', () => {
    fc.assert(
      fc.property(lengths, anyShape, (given, shape) => {
        const places = pack(given, shape)
        if (!places) return
        const taken = new Set<number>()
        places.forEach(({ window, at }, i) => {
          expect(window).toBeLessThan(shape.batch)
          expect(at + given[i]).toBeLessThanOrEqual(shape.tokens)
          for (let t = 0; t < given[i]; t++) taken.add(window * shape.tokens + at + t)
        })
        expect(taken.size).toBe(given.reduce((sum, length) => sum + length, 0))
      }),
    )
  })

  it('gives each its own window where there are enough', () => {
    expect(pack([3, 9, 4], { batch: 3, tokens: 9 })).toEqual([
      { window: 0, at: 0 },
      { window: 1, at: 0 },
      { window: 2, at: 0 },
    ])
  })

  it('fills what others leave, and says when it does not go', () => {
    expect(pack([3, 6, 5, 2], { batch: 2, tokens: 8 })).toEqual([
      { window: 1, at: 5 },
      { window: 0, at: 0 },
      { window: 1, at: 0 },
      { window: 0, at: 6 },
    ])
    expect(pack([9], { batch: 3, tokens: 8 })).toBeNull()
    expect(pack([5, 5, 5], { batch: 2, tokens: 8 })).toBeNull()
  })
})

interface Sized extends Example {
  readonly length: number
}

const packing = {
  fits: (examples: readonly Sized[], shape: BatchShape) =>
    pack(
      examples.map(({ length }) => length),
      shape,
    ) !== null,
} as Model<Sized>

const sized = (given: readonly number[]): Sized[] => given.map((length) => ({ length, counted: length }))

describe('shapes', () => {
  it('each candidate holds what the one before holds, and the last is the whole', () => {
    fc.assert(
      fc.property(lengths, anyShape, (given, limit) => {
        const candidates = candidateShapes(limit)
        expect(candidates.at(-1)).toEqual(limit)
        const held = candidates.map((shape) => fits(packing, sized(given), shape))
        expect(held).toEqual([...held].sort())
      }),
    )
  })

  it('are few, hold every batch, and pad less than one shape would', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 32 }), { minLength: 8, maxLength: 8 }), {
          minLength: 1,
          maxLength: 20,
        }),
        (batches) => {
          const limit = { batch: 8, tokens: 32 }
          const shapes = chooseShapes(packing, limit, batches.map(sized))
          expect(shapes.length).toBeLessThanOrEqual(3)
          expect(shapes.at(-1)).toEqual(limit)
          const rows = (all: readonly BatchShape[]) =>
            batches.reduce((sum, batch) => {
              const shape = all.find((one) => fits(packing, sized(batch), one))!
              return sum + shape.batch * shape.tokens
            }, 0)
          expect(rows(shapes)).toBeLessThanOrEqual(rows([limit]))
          // No other two beside the whole would do better.
          for (const x of candidateShapes(limit))
            for (const y of candidateShapes(limit))
              expect(rows(shapes)).toBeLessThanOrEqual(
                rows([x, y, limit].sort((a, b) => a.batch * a.tokens - b.batch * b.tokens)),
              )
        },
      ),
      { numRuns: 30 },
    )
  })

  it('batches of short documents take the smaller shape', () => {
    const short = sized(new Array(8).fill(8))
    const long = sized(new Array(8).fill(32))
    expect(chooseShapes(packing, { batch: 8, tokens: 32 }, [short, short, long])).toEqual([
      { batch: 2, tokens: 32 },
      { batch: 8, tokens: 32 },
    ])
  })

  it('a family that cannot pack has one shape', () => {
    const fixed = {} as Model<Sized>
    expect(chooseShapes(fixed, { batch: 4, tokens: 7 }, [sized([1])])).toEqual([{ batch: 4, tokens: 7 }])
    expect(fits(fixed, sized([1, 1]), { batch: 1, tokens: 7 })).toBe(false)
  })

  it('a cut keeps every example, in order, in parts that fit', () => {
    fc.assert(
      fc.property(lengths, (given) => {
        const shape = { batch: 2, tokens: 40 }
        const parts = cutToFit(packing, sized(given), shape)
        expect(parts.flat().map(({ length }) => length)).toEqual(given)
        for (const part of parts) expect(fits(packing, part, shape)).toBe(true)
      }),
    )
  })
})
