/** Comparing what an executor computed with what is expected, entry by entry. */
import { expect } from 'vitest'
import type { Numbers } from './reference.ts'

export function largest(values: Numbers): number {
  let magnitude = 0
  for (let i = 0; i < values.length; i++) magnitude = Math.max(magnitude, Math.abs(values[i]))
  return magnitude
}

/** The largest |actual - expected|; Infinity where a number is missing or not finite. */
export function furthest(actual: Numbers, expected: Numbers): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let distance = 0
  for (let i = 0; i < expected.length; i++) {
    const apart = Math.abs(actual[i] - expected[i])
    if (!(apart <= distance)) distance = Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart
  }
  return distance
}

/** Every entry within `absolute` of the expected one. */
export function expectWithin(actual: Numbers, expected: Numbers, absolute: number, what: string): void {
  expect(expected.length, `${what}: entries expected`).toBeGreaterThan(0)
  const apart = furthest(actual, expected)
  expect(apart, `${what}: furthest entry, of ${expected.length}`).toBeLessThanOrEqual(absolute)
}

/** Every entry within `relative` times the largest expected magnitude. */
export function expectNear(actual: Numbers, expected: Numbers, relative: number, what: string): void {
  expectWithin(actual, expected, relative * Math.max(largest(expected), 1e-6), what)
}
