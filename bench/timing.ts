/**
 * Repeating until a time is known. Two clocks: the wall's, and the processor time of this process's threads. Where
 * WebGPU runs on the processor the second tells the work apart from whatever else the machine is doing; on a GPU it
 * tells nothing of the device.
 */

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the median of nothing')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** What several measurements of the same came to. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
  readonly count: number
}

export const spread = (values: readonly number[]): Spread => ({
  median: median(values),
  least: Math.min(...values),
  most: Math.max(...values),
  count: values.length,
})

/** Of all this process's threads. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

export interface Lap {
  readonly wallMs: number
  readonly cpuMs: number
}

/** Starts both clocks; the function it returns reads them. */
export function startClocks(): () => Lap {
  const wall = performance.now()
  const cpu = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(cpu)
    return { wallMs: performance.now() - wall, cpuMs: (user + system) / 1000 }
  }
}

/** The clock that speeds are told by: on a software adapter the processor's. */
export const workMs = ({ wallMs, cpuMs }: Lap, software: boolean): number => (software ? cpuMs : wallMs)

export const medianLap = (laps: readonly Lap[]): Lap => ({
  wallMs: median(laps.map(({ wallMs }) => wallMs)),
  cpuMs: median(laps.map(({ cpuMs }) => cpuMs)),
})
