/**
 * The loss curve while it grows: training loss of every step, held-out loss where it was measured. uPlot draws
 * on a canvas; this file only feeds it, follows the page's width, letters and colours, and says the latest values to
 * whoever cannot see a canvas.
 */
import { effect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { loss } from '../format.ts'
import { type CurvePoint, curve, plannedSteps } from '../state/store.ts'
import { train as text } from '../strings/train.ts'
import { ChartPlace } from './chart-place.tsx'

/** As the place it has, 17rem, at the usual 16 pixels a rem. */
const HEIGHT_PIXELS = 272

/** How much larger than usual the reader has made letters. */
const enlargement = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16

function columns(points: readonly CurvePoint[]): uPlot.AlignedData {
  return [
    points.map((point) => point.step),
    points.map((point) => point.loss),
    points.map((point) => point.heldOutLoss),
  ]
}

/** As many decimals as it takes to tell two ticks apart exactly: 0.25 apart needs two. */
function decimals(ticks: readonly number[]): number {
  const apart = ticks.length > 1 ? ticks[1] - ticks[0] : 1
  const found = [1, 2, 3].find((digits) => Math.abs(apart - Number(apart.toFixed(digits))) < 1e-6)
  return found ?? 4
}

function options(width: number, larger: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const font = `${12 * larger}px ${colour('--sans')}`
  const axis = {
    stroke: colour('--ink-soft'),
    font,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height: HEIGHT_PIXELS * larger,
    legend: { show: false },
    cursor: { show: false },
    padding: [12 * larger, 10 * larger, 0, 0],
    scales: {
      x: { time: false, range: () => [0, Math.max(1, plannedSteps.peek())] },
      y: { range: (_, low, high) => uPlot.rangeNum(low ?? 0, high ?? 1, 0.15, false) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 36 * larger,
        space: 56 * larger,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      },
      {
        ...axis,
        size: 48 * larger,
        space: 30 * larger,
        values: (_, ticks) => ticks.map((tick) => tick.toFixed(decimals(ticks))),
      },
    ],
    series: [
      {},
      { stroke: colour('--curve-train'), width: 1.75, points: { show: false } },
      {
        stroke: colour('--curve-held-out'),
        width: 2.25,
        spanGaps: true,
        points: { show: true, size: 9, fill: colour('--curve-held-out'), stroke: colour('--surface') },
      },
    ],
  }
}

export function LossChart() {
  return curve.value.length > 0 ? <Plot /> : <ChartPlace />
}

function Plot() {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = box.current
    if (!element) return
    let larger = enlargement()
    const draw = () => new uPlot(options(element.clientWidth, larger), columns(curve.peek()), element)
    let plot = draw()
    const drawAnew = () => {
      plot.destroy()
      plot = draw()
    }
    const stopFollowing = effect(() => plot.setData(columns(curve.value)))
    const observer = new ResizeObserver(() => {
      if (enlargement() === larger) {
        plot.setSize({ width: element.clientWidth, height: HEIGHT_PIXELS * larger })
        return
      }
      larger = enlargement()
      drawAnew()
    })
    observer.observe(element)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', drawAnew)
    return () => {
      stopFollowing()
      observer.disconnect()
      scheme.removeEventListener('change', drawAnew)
      plot.destroy()
    }
  }, [])
  const points = curve.value
  const last = points.at(-1)
  const heldOut = points.findLast((point) => point.heldOutLoss !== null)?.heldOutLoss
  const latest = [
    typeof last?.loss === 'number' ? `${text.loss} ${loss(last.loss)}.` : '',
    heldOut ? `${text.heldOutLoss} ${loss(heldOut)}.` : '',
  ].join(' ')
  return (
    <div class="chart" ref={box} role="img" aria-label={text.chartLabel(latest)} data-testid="loss-chart" />
  )
}
