/** How far computed numbers are from the expected ones; no test runner, so it works in a browser too. */
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
