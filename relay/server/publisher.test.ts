import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contributionsDue } from './publisher.ts'

describe('contributionsDue', () => {
  it.each([
    // accepted, published, publishEvery, closed -> due
    [0, 0, 3, false, null],
    [2, 0, 3, false, null],
    [3, 0, 3, false, 3],
    [5, 3, 3, false, null],
    [7, 3, 3, false, 6],
    [10, 0, 3, false, 9],
    [1, 0, 1, false, 1],
    [5, 3, 3, true, 5],
    [3, 3, 3, true, null],
    [0, 0, 3, true, null],
  ])(
    '%i accepted, %i published, every %i, closed %s: %s',
    (accepted, published, publishEvery, closed, due) => {
      expect(contributionsDue({ accepted, published, publishEvery, closed })).toBe(due)
    },
  )

  it('never lets two versions of an open room differ by less than a batch', () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.nat(30),
        fc.integer({ min: 1, max: 20 }),
        (accepted, batches, publishEvery) => {
          const published = batches * publishEvery
          const due = contributionsDue({ accepted, published, publishEvery, closed: false })
          if (due !== null) expect(due - published).toBeGreaterThanOrEqual(publishEvery)
        },
      ),
    )
  })
})
