/**
 * How near an op comes to what its device could do: the time that its multiply-adds take at the device's peak, or its bytes at
 * the device's bandwidth, whichever is longer, over the time it took (Williams et al. 2009, the roofline model,
 * https://doi.org/10.1145/1498765.1498785).
 */
import type { Peaks } from './peaks.ts'

export interface Share {
  readonly bound: 'multiply-add' | 'bandwidth'
  /** Of the peak that bounds it: 1 is all of it. */
  readonly share: number
}

/**
 * GB/s that an op of so many bytes can have at most: of streams no smaller than it (a smaller one may lie in a cache that
 * the op does not fit), or of the largest one that still is.
 */
export function bandwidthFor({ bandwidths }: Pick<Peaks, 'bandwidths'>, bytes: number): number {
  const floor = Math.max(...bandwidths.filter((one) => one.bytes <= bytes).map((one) => one.bytes), 0)
  return Math.max(
    ...bandwidths.filter((one) => one.bytes >= floor).map(({ gigabytesPerSecond }) => gigabytesPerSecond),
  )
}

/** `ms` by the peaks' clock. */
export function shareOfPeak(
  { flops, bytes }: { readonly flops: number; readonly bytes: number },
  ms: number,
  peaks: Pick<Peaks, 'fmaGflops' | 'bandwidths'>,
): Share {
  const arithmeticMs = flops / peaks.fmaGflops / 1e6
  const memoryMs = bytes / bandwidthFor(peaks, bytes) / 1e6
  return arithmeticMs >= memoryMs
    ? { bound: 'multiply-add', share: arithmeticMs / ms }
    : { bound: 'bandwidth', share: memoryMs / ms }
}
