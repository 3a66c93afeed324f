/**
 * One loss on an axis that the three rows share, with the base model's as a dashed mark. A dot, not a bar: the
 * axis does not begin at zero, and a bar's length would then lie.
 */
import type { Which } from '../worker/api.ts'

interface LossPlotProps {
  readonly which: Which
  readonly loss: number | null
  readonly reference: number | null
  readonly low: number
  readonly high: number
}

export function LossPlot({ which, loss, reference, low, high }: LossPlotProps) {
  const at = (value: number) => `${(4 + (92 * (value - low)) / Math.max(high - low, 1e-6)).toFixed(2)}%`
  return (
    <svg class="losses-plot" aria-hidden="true">
      <line class="losses-track" x1="0%" x2="100%" y1="50%" y2="50%" />
      {reference !== null && (
        <line class="losses-reference" x1={at(reference)} x2={at(reference)} y1="0%" y2="100%" />
      )}
      {loss !== null && <circle class="losses-dot" data-which={which} cx={at(loss)} cy="50%" r="6" />}
    </svg>
  )
}
