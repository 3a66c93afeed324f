import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changeNorm, clipChange, summarise } from './update-choices.ts'

const changes = fc
  .array(
    fc.float32Array({ minLength: 1, maxLength: 20, noNaN: true, noDefaultInfinity: true, min: -4, max: 4 }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((arrays) => new Map(arrays.map((values, index) => [`tensor ${index}`, values])))

describe('clipping an update', () => {
  it('leaves a change that is short enough as it is, and makes a longer one as long as asked', () => {
    fc.assert(
      fc.property(changes, fc.double({ min: 0.01, max: 10, noNaN: true }), (change, longest) => {
        const norm = changeNorm(change)
        const clipped = clipChange(change, longest)
        if (norm <= longest) expect(clipped).toBe(change)
        else expect(changeNorm(clipped)).toBeCloseTo(longest, 4)
      }),
    )
    const change = new Map([['a', Float32Array.of(3, 4)]])
    expect(clipChange(change, null)).toBe(change)
    expect([...(clipChange(change, 1).get('a') ?? [])].map((value) => Number(value.toFixed(6)))).toEqual([
      0.6, 0.8,
    ])
  })

  it('is summarised tensor by tensor', () => {
    const change = new Map([
      ['a', Float32Array.of(3, -4)],
      ['b', Float32Array.of(0)],
    ])
    expect(summarise(change)).toEqual([
      { name: 'a', numbers: 2, norm: 5, largest: 4 },
      { name: 'b', numbers: 1, norm: 0, largest: 0 },
    ])
  })
})
