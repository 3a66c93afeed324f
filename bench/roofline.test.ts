/** Shares of a device's peaks, and the check that a clock ends with the work. */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../models/backend/engine.ts'
import { clockFault } from './clock-check.ts'
import { placeOf } from './conditions.ts'
import { bandwidthFor, shareOfPeak } from './roofline.ts'

const bandwidths = [
  { bytes: 1e5, kernel: 'copy', gigabytesPerSecond: 100 },
  { bytes: 1e6, kernel: 'add', gigabytesPerSecond: 50 },
  { bytes: 1e8, kernel: 'copy', gigabytesPerSecond: 10 },
]

describe('shares of a peak', () => {
  it('takes the bandwidth of streams no smaller than the op', () => {
    expect(bandwidthFor({ bandwidths }, 1e4)).toBe(100)
    expect(bandwidthFor({ bandwidths }, 5e5)).toBe(100)
    expect(bandwidthFor({ bandwidths }, 1e6)).toBe(50)
    expect(bandwidthFor({ bandwidths }, 1e9)).toBe(10)
  })

  it('does not hold a short op to a stream that mostly waits to start', () => {
    const slowStart = [{ bytes: 1e5, kernel: 'copy', gigabytesPerSecond: 1 }, ...bandwidths.slice(1)]
    expect(bandwidthFor({ bandwidths: slowStart }, 2e5)).toBe(50)
  })

  it('names what bounds the op', () => {
    const peaks = { fmaGflops: 1000, bandwidths }
    // 1 GFLOP takes 1 ms, 1 MB takes 0.02 ms.
    expect(shareOfPeak({ flops: 1e9, bytes: 1e6 }, 2, peaks)).toEqual({ bound: 'multiply-add', share: 0.5 })
    expect(shareOfPeak({ flops: 0, bytes: 1e6 }, 0.04, peaks)).toEqual({ bound: 'bandwidth', share: 0.5 })
    expect(shareOfPeak({ flops: 1e9, bytes: 1e6 }, 0.5, peaks).share).toBeGreaterThan(1)
  })
})

describe('the clock', () => {
  const engine = { backend: 'webgpu', executor: 'eager', device: 'a card', software: false } as Engine
  const check = (ratio: number) =>
    clockFault({
      ...placeOf(engine),
      ...{
        op: 'product',
        shape: '1 x 1 by 1',
        runs: 1,
        tries: 1,
        ms: 100,
        msOfFourTimesAsMany: 100 * ratio,
        ratio,
      },
    })

  it('is believed where four times the work takes about four times as long', () => {
    expect(check(4)).toBeNull()
    expect(check(3.1)).toBeNull()
  })

  it('is a fault where work is only handed over', () => {
    expect(check(1.1)).toMatch(/1\.10 times as long on a card \(eager\)/)
    expect(check(Number.NaN)).toMatch(/do not end with the work/)
  })
})
