/** Comparing what an executor computed with what is expected, entry by entry. */
import { expect } from 'vitest'
import { furthest, largest } from './distance.ts'
import type { Numbers } from './reference.ts'

/** ONEROUND_DISTANCES=1 says how far apart each comparison is, on stderr. */
const SHOW = process.env.ONEROUND_DISTANCES === '1'

/** Every entry within `absolute` of the expected one. */
export function expectWithin(actual: Numbers, expected: Numbers, absolute: number, what: string): void {
  expect(expected.length, `${what}: entries expected`).toBeGreaterThan(0)
  const apart = furthest(actual, expected)
  if (SHOW)
    process.stderr.write(`${what}: furthest ${apart.toExponential(2)} of ${absolute.toExponential(2)}\n`)
  expect(apart, `${what}: furthest entry, of ${expected.length}`).toBeLessThanOrEqual(absolute)
}

/** Every entry within `relative` times the largest expected magnitude. */
export function expectNear(actual: Numbers, expected: Numbers, relative: number, what: string): void {
  expectWithin(actual, expected, relative * Math.max(largest(expected), 1e-6), what)
}
