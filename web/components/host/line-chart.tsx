/** A line chart in SVG that follows its own width and height: sharp and readable on a phone and on a projector. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { type ChartPoint, chartOf, tickLabels } from '../../state/host/chart.ts'
import { console as text } from '../../strings/host.ts'

interface LineChartProps {
  readonly points: readonly ChartPoint[]
  readonly reference: number | null
  /** The point to point at, by its place in `points`. */
  readonly marked?: number | null
  readonly whole: boolean
  readonly xName: string
  /** All of it, for whoever cannot see it. */
  readonly label: string
  readonly empty: string
  readonly testId: string
}

export function LineChart(props: LineChartProps) {
  const { points, reference, marked, whole, xName, label, empty, testId } = props
  const box = useRef<HTMLDivElement>(null)
  const size = useSignal({ width: 0, height: 0, type: 14 })
  useEffect(() => {
    const element = box.current
    if (!element) return
    const measure = () => {
      const type = Number.parseFloat(getComputedStyle(element).fontSize)
      size.value = { width: element.clientWidth, height: element.clientHeight, type }
    }
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    return () => observer.disconnect()
  }, [size])
  const { width, height, type } = size.value
  if (points.length === 0) {
    return (
      <div class="host-chart" ref={box} data-testid={testId} data-points={0}>
        <div class="chart-empty">{empty}</div>
      </div>
    )
  }
  const chart = chartOf({ points, reference, width, height, type, whole })
  const { plot } = chart
  const xLabels = tickLabels(chart.xTicks)
  const yLabels = tickLabels(chart.yTicks)
  // The reference is named at the end where the line is further from it.
  const apart = (at: number) => Math.abs((chart.points.at(at)?.top ?? 0) - (chart.reference ?? 0))
  const nameAtLeft = apart(0) > apart(-1)
  return (
    <div class="host-chart" ref={box} data-testid={testId} data-points={points.length}>
      {width > 0 && (
        <svg width={width} height={height} role="img" aria-label={label}>
          {chart.yTicks.map(({ at }, index) => (
            <g key={at}>
              <line class="host-chart-grid" x1={plot.left} x2={plot.right} y1={at} y2={at} />
              <text
                class="host-chart-text"
                x={plot.left - type / 2}
                y={at}
                text-anchor="end"
                dominant-baseline="middle"
              >
                {yLabels[index]}
              </text>
            </g>
          ))}
          {chart.xTicks.map(({ at }, index) => (
            <text key={at} class="host-chart-text" x={at} y={plot.bottom + type * 1.4} text-anchor="middle">
              {xLabels[index]}
            </text>
          ))}
          <text class="host-chart-text" x={plot.right} y={height - type * 0.4} text-anchor="end">
            {xName}
          </text>
          {chart.reference !== null && (
            <>
              <line
                class="host-chart-reference"
                x1={plot.left}
                x2={plot.right}
                y1={chart.reference}
                y2={chart.reference}
              />
              <text
                class="host-chart-text"
                x={nameAtLeft ? plot.left + type / 2 : plot.right}
                y={chart.reference + (chart.reference < plot.top + type * 2 ? type * 1.2 : -type * 0.5)}
                text-anchor={nameAtLeft ? 'start' : 'end'}
              >
                {text.baseLine}
              </text>
            </>
          )}
          <polyline
            class="host-chart-line"
            points={chart.points.map(({ left, top }) => `${left},${top}`).join(' ')}
          />
          {chart.points.map(({ left, top }, index) => (
            <circle
              key={index}
              class={index === marked ? 'host-chart-marked' : 'host-chart-dot'}
              cx={left}
              cy={top}
              r={index === marked ? type / 2 : type / 3.2}
            />
          ))}
        </svg>
      )}
    </div>
  )
}
