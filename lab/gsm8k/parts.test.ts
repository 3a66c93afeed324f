import fc from 'fast-check'
import { expect, it } from 'vitest'
import { deal, jsonLines } from './parts.ts'

it('parts are disjoint, lose nothing and differ by a row at most', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.integer({ min: 1, max: 5 }), (count, clients) => {
      const rows = Array.from({ length: count }, (_, i) => i)
      const parts = deal(rows, clients, count + 1)
      expect(parts).toHaveLength(clients)
      expect(parts.flat().sort((a, b) => a - b)).toEqual(rows)
      const lengths = parts.map(({ length }) => length)
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
    }),
  )
})

it('a part takes no more rows than it may', () => {
  expect(deal([1, 2, 3, 4, 5, 6, 7], 2, 2)).toEqual([
    [1, 3],
    [2, 4],
  ])
})

it('empty lines are no rows', () => {
  expect(jsonLines('{"a":1}\n\n{"a":2}\n  \n')).toEqual(['{"a":1}', '{"a":2}'])
})
