/** Where the loss curve will be, as large as it. */
import { curve } from '../state/store.ts'
import { train as text } from '../strings/train.ts'

export function ChartPlace() {
  return (
    <div class="chart">
      <div class="chart-empty">{curve.value.length === 0 && text.chartEmpty}</div>
    </div>
  )
}
