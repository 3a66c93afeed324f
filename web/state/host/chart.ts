/**
 * A small line chart as numbers: where its points, ticks and marks lie. Drawn as SVG on the page and in the report,
 * which has no script. Pure.
 */
export interface ChartPoint {
  readonly x: number
  readonly y: number
}

export interface ChartInput {
  readonly points: readonly ChartPoint[]
  /** A value to compare with: a dashed line across. */
  readonly reference: number | null
  readonly width: number
  readonly height: number
  /** Pixels of the type at its axes: the margins follow it. */
  readonly type: number
  /** Whether x is a count of things: ticks then stand at whole numbers. */
  readonly whole: boolean
}

export interface Tick {
  readonly at: number
  readonly value: number
}

export interface Chart {
  readonly points: readonly { readonly left: number; readonly top: number }[]
  readonly xTicks: readonly Tick[]
  readonly yTicks: readonly Tick[]
  readonly reference: number | null
  readonly plot: {
    readonly left: number
    readonly right: number
    readonly top: number
    readonly bottom: number
  }
}

export function chartOf({ points, reference, width, height, type, whole }: ChartInput): Chart {
  const plot = {
    left: type * 4,
    right: Math.max(type * 5, width - type),
    top: type,
    bottom: height - type * 3.2,
  }
  const finite = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))
  const ys = finite.map(({ y }) => y)
  if (reference !== null && Number.isFinite(reference)) ys.push(reference)
  const xRange = whole
    ? wholeRange(finite.map(({ x }) => x))
    : range(
        finite.map(({ x }) => x),
        0,
      )
  const yRange = range(ys, 0.15)
  const left = (x: number) =>
    plot.left + ((plot.right - plot.left) * (x - xRange.low)) / (xRange.high - xRange.low)
  const top = (y: number) =>
    plot.bottom - ((plot.bottom - plot.top) * (y - yRange.low)) / (yRange.high - yRange.low)
  const xCount = Math.max(2, Math.min(12, Math.floor((plot.right - plot.left) / (type * 5))))
  const yCount = Math.max(2, Math.min(8, Math.floor((plot.bottom - plot.top) / (type * 2.5))))
  return {
    points: finite.map(({ x, y }) => ({ left: left(x), top: top(y) })),
    xTicks: ticks(xRange, xCount, whole).map((value) => ({ at: left(value), value })),
    yTicks: ticks(yRange, yCount, false).map((value) => ({ at: top(value), value })),
    reference: reference !== null && Number.isFinite(reference) ? top(reference) : null,
    plot,
  }
}

interface Range {
  readonly low: number
  readonly high: number
}

/** Losses are read to three decimals. */
const LEAST_RANGE = 2e-3

/** From the least to the largest with some room; never empty. */
function range(values: readonly number[], room: number): Range {
  if (values.length === 0) return { low: 0, high: 1 }
  const low = Math.min(...values)
  const high = Math.max(...values)
  const apart = high - low
  // Differences that no label could tell apart are drawn as none; they would also be below what doubles can count.
  const least = LEAST_RANGE * Math.max(1, Math.abs(low), Math.abs(high))
  const margin = Math.max(apart * room, (least - apart) / 2, 0)
  return { low: low - margin, high: high + margin }
}

function wholeRange(values: readonly number[]): Range {
  if (values.length === 0) return { low: 0, high: 1 }
  const low = Math.min(...values)
  const high = Math.max(...values)
  return high > low ? { low, high } : { low: low - 1, high: high + 1 }
}

/** At most `count` round values inside the range: 1, 2 or 5 times a power of ten apart. */
export function ticks({ low, high }: Range, count: number, whole: boolean): number[] {
  const wanted = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(wanted))
  let step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= wanted * 0.999) ?? wanted
  if (whole) step = Math.max(1, Math.round(step))
  const found: number[] = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step)
  return found
}

const MOST_DECIMALS = 4

/** As many decimals as tell the ticks apart; as many as it has, where there is one. */
export function tickLabels(values: readonly Tick[]): string[] {
  const digits =
    values.length > 1 ? decimalsOf(values[1].value - values[0].value) : exactDecimals(values[0]?.value ?? 0)
  return values.map(({ value }) => value.toFixed(digits))
}

const decimalsOf = (apart: number) =>
  Math.max(0, Math.min(MOST_DECIMALS, Math.ceil(-Math.log10(apart) - 1e-9)))

function exactDecimals(value: number): number {
  for (let digits = 0; digits < MOST_DECIMALS; digits += 1) {
    if (Math.abs(Number(value.toFixed(digits)) - value) < 1e-9) return digits
  }
  return MOST_DECIMALS
}
