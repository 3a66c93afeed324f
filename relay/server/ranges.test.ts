import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRange } from './ranges.ts'

describe('parseRange', () => {
  it.each([
    [undefined, null],
    ['bytes=0-0', { first: 0, last: 0 }],
    ['bytes=2-4', { first: 2, last: 4 }],
    ['bytes=2-', { first: 2, last: 9 }],
    ['bytes=-3', { first: 7, last: 9 }],
    ['bytes=-30', { first: 0, last: 9 }],
    ['bytes=8-99', { first: 8, last: 9 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=10-12', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=4-2', null],
    ['bytes=-', null],
    ['bytes=0-1,3-4', null],
    ['lines=0-1', null],
    ['bytes=a-b', null],
    ['bytes=99999999999999999999-', null],
  ] as const)('of %s in 10 bytes is %j', (header, range) => {
    expect(parseRange(header, 10)).toEqual(range)
  })

  it('lies within the file, whatever is asked', () => {
    const number = fc.oneof(fc.nat(30).map(String), fc.constant(''))
    fc.assert(
      fc.property(number, number, fc.nat(20), (from, to, fileBytes) => {
        const range = parseRange(`bytes=${from}-${to}`, fileBytes)
        if (range === null || range === 'unsatisfiable') return
        expect(range.first).toBeGreaterThanOrEqual(0)
        expect(range.last).toBeGreaterThanOrEqual(range.first)
        expect(range.last).toBeLessThan(fileBytes)
      }),
    )
  })
})
