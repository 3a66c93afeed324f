import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Digest, digestOfText } from '../protocol/canonical.ts'
import { updatesDue } from './publisher.ts'

const updates = (count: number): Digest[] =>
  Array.from({ length: count }, (_, k) => digestOfText(`update ${k}`))

describe('updatesDue', () => {
  it.each([
    // accepted, published, publishEvery, all -> due
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
  ])('%i accepted, %i published, every %i, all %s: %s', (count, published, publishEvery, all, due) => {
    const accepted = updates(count)
    const newest = published > 0 ? { updates: accepted.slice(0, published) } : undefined
    const expected = due === null ? null : accepted.slice(0, due)
    expect(updatesDue({ accepted, newest, publishEvery, all })).toEqual(expected)
  })

  it('never lets two versions of an open room differ by less than a batch', () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.nat(30),
        fc.integer({ min: 1, max: 20 }),
        (count, batches, publishEvery) => {
          const accepted = updates(count)
          const published = Math.min(batches * publishEvery, count)
          const newest = { updates: accepted.slice(0, published) }
          const due = updatesDue({ accepted, newest, publishEvery, all: false })
          if (due !== null) expect(due.length - published).toBeGreaterThanOrEqual(publishEvery)
        },
      ),
    )
  })

  it('leaves out exactly what was withdrawn, at once, and hurries nobody else', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        fc.integer({ min: 1, max: 10 }),
        (count, which, every) => {
          const all = updates(count)
          const published = count - (count % every)
          fc.pre(published > 0)
          const withdrawn = all[which % published]!
          const accepted = all.filter((update) => update !== withdrawn)
          const due = updatesDue({
            accepted,
            newest: { updates: all.slice(0, published), retired: true },
            publishEvery: every,
            all: false,
          })
          const kept = accepted.filter((update) => all.indexOf(update) < published)
          expect(due).toEqual(kept.length > 0 ? kept : null)
        },
      ),
    )
  })
})
