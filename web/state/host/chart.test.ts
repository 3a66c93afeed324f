import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chartOf, tickLabels, ticks } from './chart.ts'

const loss = fc.double({ min: 0.01, max: 20, noNaN: true })

describe('a small chart', () => {
  it('keeps every point, tick and mark inside its plot, whatever is to be shown', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ x: fc.integer({ min: 1, max: 500 }), y: loss }), { maxLength: 40 }),
        fc.option(loss),
        fc.integer({ min: 120, max: 3800 }),
        fc.boolean(),
        (points, reference, width, whole) => {
          const chart = chartOf({ points, reference, width, height: 240, type: 14, whole })
          const { left, right, top, bottom } = chart.plot
          expect(chart.points.length).toBe(points.length)
          const inside = (value: number, low: number, high: number) => {
            expect(value).toBeGreaterThanOrEqual(low - 1e-6)
            expect(value).toBeLessThanOrEqual(high + 1e-6)
          }
          for (const point of chart.points) {
            inside(point.left, left, right)
            inside(point.top, top, bottom)
          }
          for (const { at } of chart.xTicks) inside(at, left, right)
          for (const { at } of chart.yTicks) inside(at, top, bottom)
          if (reference !== null) inside(chart.reference ?? Number.NaN, top, bottom)
          const labels = tickLabels(chart.yTicks)
          expect(new Set(labels).size).toBe(labels.length)
        },
      ),
    )
  })

  it('leaves out what is no number, and puts a lower loss lower', () => {
    const points = [
      { x: 1, y: 3 },
      { x: 2, y: Number.NaN },
      { x: 3, y: 2 },
    ]
    const chart = chartOf({ points, reference: null, width: 400, height: 200, type: 12, whole: true })
    expect(chart.points.length).toBe(2)
    expect(chart.points[1].top).toBeGreaterThan(chart.points[0].top)
    expect(chart.xTicks.map(({ value }) => value)).toEqual([1, 2, 3])
  })

  it('has round ticks', () => {
    expect(ticks({ low: 2.43, high: 2.88 }, 4, false).map((tick) => tick.toFixed(2))).toEqual([
      '2.60',
      '2.80',
    ])
    expect(ticks({ low: 1, high: 3 }, 8, true)).toEqual([1, 2, 3])
  })

  it('labels ticks with as many decimals as they need, also a single one', () => {
    const labels = (...values: number[]) => tickLabels(values.map((value) => ({ at: 0, value })))
    expect(labels(3.18, 3.2, 3.22)).toEqual(['3.18', '3.20', '3.22'])
    expect(labels(3.2)).toEqual(['3.2'])
    expect(labels(3)).toEqual(['3'])
    expect(labels()).toEqual([])
  })
})
