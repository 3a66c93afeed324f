import fc from 'fast-check'
import { expect, it } from 'vitest'
import { shareOf } from './share.ts'

it('a share in hundredths is what it is by hand', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 2 ** 30 }), (percent, count) => {
      expect(shareOf(percent / 100, count)).toBe(Number((BigInt(percent) * BigInt(count)) / 100n))
    }),
    {
      examples: [
        [29, 100],
        [7, 100],
        [20, 3072],
        [57, 100],
      ],
    },
  )
})
