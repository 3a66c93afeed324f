import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TextExample } from '../text/windows.ts'
import { splitHeldOut } from './holdout.ts'

const exampleOf = (...ids: number[]): TextExample => ({
  ids: Int32Array.from(ids),
  counts: new Uint8Array(ids.length - 1).fill(1),
  counted: ids.length - 1,
})
const distinct = (count: number) => Array.from({ length: count }, (_, i) => exampleOf(i, i + 1, 7))

describe('splitHeldOut', () => {
  it('holds a tenth out and loses nothing', () => {
    const examples = distinct(100)
    const { train, heldOut } = splitHeldOut(examples)
    expect(heldOut).toHaveLength(10)
    expect(new Set([...train, ...heldOut])).toEqual(new Set(examples))
    expect(train).toHaveLength(90)
  })

  it('does not depend on the order of the files', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(distinct(30), { minLength: 30 }), (shuffled) => {
        expect(new Set(splitHeldOut(shuffled).heldOut)).toEqual(new Set(splitHeldOut(distinct(30)).heldOut))
      }),
      { numRuns: 20 },
    )
  })

  it('is another split under another seed', () => {
    const examples = distinct(100)
    expect(splitHeldOut(examples, 0.1, 'a').heldOut).not.toEqual(splitHeldOut(examples, 0.1, 'b').heldOut)
    expect(splitHeldOut(examples, 0.1, 'a')).toEqual(splitHeldOut(examples, 0.1, 'a'))
  })

  it('never puts equal examples on both sides', () => {
    const examples = [...distinct(20), ...distinct(20), ...distinct(20)]
    const { train, heldOut } = splitHeldOut(examples, 0.2)
    const key = ({ ids }: TextExample) => ids.join()
    const held = new Set(heldOut.map(key))
    expect(heldOut.length).toBeGreaterThanOrEqual(12)
    for (const example of train) expect(held.has(key(example))).toBe(false)
  })

  it.each([2, 3, 5, 9])('of %d examples holds at least one out and trains on at least one', (count) => {
    for (const fraction of [0, 0.1, 0.5, 1]) {
      const { train, heldOut } = splitHeldOut(distinct(count), fraction)
      expect(heldOut.length).toBeGreaterThan(0)
      expect(train.length).toBeGreaterThan(0)
    }
  })

  it('trains on a single example, and splits copies of one', () => {
    expect(splitHeldOut([exampleOf(1, 2)])).toMatchObject({ train: [{ counted: 1 }], heldOut: [] })
    expect(splitHeldOut([exampleOf(1, 2), exampleOf(1, 2)])).toMatchObject({ train: [{}], heldOut: [{}] })
  })

  it('tells examples apart that differ only in what counts', () => {
    const counted = exampleOf(1, 2, 3)
    const uncounted = { ...counted, counts: Uint8Array.of(0, 1), counted: 1 }
    const { train, heldOut } = splitHeldOut([counted, uncounted])
    expect([...train, ...heldOut]).toHaveLength(2)
    expect(new Set([...train, ...heldOut])).toEqual(new Set([counted, uncounted]))
  })

  it('refuses shares that are none', () => {
    for (const fraction of [-0.1, 1.1, Number.NaN])
      expect(() => splitHeldOut(distinct(3), fraction)).toThrow(RangeError)
  })
})
