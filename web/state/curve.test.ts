import { describe, expect, it } from 'vitest'
import { appendPoint, MAX_POINTS } from './curve.ts'
import type { CurvePoint } from './store.ts'

const point = (step: number, heldOutLoss: number | null = null): CurvePoint => ({
  step,
  loss: 3,
  heldOutLoss,
})

describe('the loss curve', () => {
  it('grows by one point a step', () => {
    expect(appendPoint([point(1)], point(2)).map(({ step }) => step)).toEqual([1, 2])
  })

  it('drops the steps that a resumed training repeats', () => {
    const resumed = appendPoint([point(1), point(2), point(3), point(4)], {
      step: 3,
      loss: 2.5,
      heldOutLoss: null,
    })
    expect(resumed.map(({ step, loss }) => [step, loss])).toEqual([
      [1, 3],
      [2, 3],
      [3, 2.5],
    ])
  })

  it('stays bounded and keeps every held-out loss', () => {
    let points: readonly CurvePoint[] = []
    for (let step = 1; step <= 3 * MAX_POINTS; step++)
      points = appendPoint(points, point(step, step % 100 ? null : 3))
    expect(points.length).toBeLessThanOrEqual(MAX_POINTS)
    expect(points.filter(({ heldOutLoss }) => heldOutLoss !== null)).toHaveLength((3 * MAX_POINTS) / 100)
    expect(points.at(-1)?.step).toBe(3 * MAX_POINTS)
  })
})
