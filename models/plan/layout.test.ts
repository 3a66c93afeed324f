/** The layout's two promises, for any set of lifetimes: no two tensors alive at once share a buffer, none is cut. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Lifetime, layOut } from './layout.ts'

const lifetime = fc
  .record({ bytes: fc.integer({ min: 4, max: 1 << 20 }), first: fc.nat(40), length: fc.nat(20) })
  .map(({ bytes, first, length }): Lifetime => ({ bytes, first, last: first + length }))

/** The most bytes alive at one time: no layout can do with less. */
function lowerBound(lifetimes: readonly Lifetime[]): number {
  let most = 0
  for (let at = 0; at <= 60; at++) {
    const alive = lifetimes.filter(({ first, last }) => first <= at && at <= last)
    most = Math.max(
      most,
      alive.reduce((sum, { bytes }) => sum + bytes, 0),
    )
  }
  return most
}

describe('layOut', () => {
  it('never lets two living tensors share a buffer and never cuts one', () => {
    fc.assert(
      fc.property(fc.array(lifetime, { maxLength: 60 }), (lifetimes) => {
        const { slotOf, slotBytes } = layOut(lifetimes)
        lifetimes.forEach((one, i) => {
          expect(slotBytes[slotOf[i]]).toBeGreaterThanOrEqual(one.bytes)
          lifetimes.forEach((other, j) => {
            if (i < j && slotOf[i] === slotOf[j])
              expect(one.last < other.first || other.last < one.first).toBe(true)
          })
        })
        const total = slotBytes.reduce((sum, bytes) => sum + bytes, 0)
        const each = lifetimes.reduce((sum, { bytes }) => sum + bytes, 0)
        expect(total).toBeLessThanOrEqual(each)
        expect(total).toBeGreaterThanOrEqual(lowerBound(lifetimes))
      }),
    )
  })

  it('gives a chain of equal tensors two buffers', () => {
    const chain = Array.from({ length: 10 }, (_, i): Lifetime => ({ bytes: 1024, first: i, last: i + 1 }))
    expect(layOut(chain).slotBytes).toEqual([1024, 1024])
  })
})
