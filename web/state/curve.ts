/** The points of the loss curve: bounded, so that a day of training does not slow the page down. */
import type { CurvePoint } from './store.ts'

/** More points than any screen has pixels to show. */
export const MAX_POINTS = 2000

/**
 * `points` with one more, in the order of their steps. A point at or before the last step replaces what comes
 * after it: training that resumed from a checkpoint repeats a few steps. Beyond MAX_POINTS every second point
 * without a held-out loss goes.
 */
export function appendPoint(points: readonly CurvePoint[], point: CurvePoint): readonly CurvePoint[] {
  const kept =
    points.length > 0 && points[points.length - 1].step >= point.step
      ? points.filter((earlier) => earlier.step < point.step)
      : points
  const longer = [...kept, point]
  if (longer.length <= MAX_POINTS) return longer
  return longer.filter(({ heldOutLoss }, index) => heldOutLoss !== null || index % 2 === 0)
}
