import { describe, expect, it } from 'vitest'
import { bestOf, searchScale } from './line-search.ts'

describe('the search for the best scale', () => {
  it.each([0.1, 0.7, 1, 1.3, 1.99, 2, 3.7, 12])('finds a least loss at %d', async (least) => {
    let calls = 0
    const measured = await searchScale(async (scale) => {
      calls++
      return 3 + (scale - least) ** 2
    })
    expect(Math.abs(bestOf(measured).scale - least)).toBeLessThan(0.05 * least)
    expect(calls).toBe(measured.length)
    expect(new Set(measured.map(({ scale }) => scale)).size).toBe(calls)
    expect(calls).toBeLessThan(20)
  })

  it('always measures 1, and is never worse than it', async () => {
    const measured = await searchScale(async (scale) => Math.sin(40 * scale))
    const one = measured.find(({ scale }) => scale === 1)!
    expect(bestOf(measured).loss).toBeLessThanOrEqual(one.loss)
  })

  it('ends where the loss only falls, only rises, stays or is no number', async () => {
    const scaleOf = async (loss: (scale: number) => number) =>
      bestOf(await searchScale(async (x) => loss(x))).scale
    expect(await scaleOf((x) => -x)).toBeGreaterThan(16)
    expect(await scaleOf((x) => -x)).toBeLessThan(32)
    expect(await scaleOf((x) => x)).toBeLessThan(1 / 16)
    expect(await scaleOf((x) => x)).toBeGreaterThan(0)
    expect(await scaleOf(() => 1)).toBeGreaterThan(0)
    expect(await scaleOf((x) => (x === 1 ? 2 : Number.NaN))).toBe(1)
  })
})
