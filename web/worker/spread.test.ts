import fc from 'fast-check'
import { expect, it } from 'vitest'
import { spread } from './spread.ts'

it('takes distinct items in their order, evenly, and all where there are few', () => {
  fc.assert(
    fc.property(fc.nat(500), fc.integer({ min: 1, max: 70 }), (length, most) => {
      const items = Array.from({ length }, (_, i) => i)
      const taken = spread(items, most)
      expect(taken.length).toBe(Math.min(length, most))
      expect(new Set(taken).size).toBe(taken.length)
      const gaps = taken.slice(1).map((item, i) => item - taken[i])
      if (gaps.length > 0) expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1)
    }),
  )
})
