/** How near a model must come to the fixtures, by the fixtures' READMEs. */
import { expect } from 'vitest'
import type { Comparison, Quantity } from './comparison.ts'

/** Absolute; of gradients in parts of the tensor's largest entry. */
const TOLERANCES: Readonly<Record<Quantity, number>> = {
  'hidden states': 1e-4,
  logits: 1e-4,
  // Two roundings apart: of the merged weights and of the product with them.
  'merged logits': 2e-4,
  'counted targets': 0,
  'token losses': 1e-4,
  loss: 1e-5,
  gradient: 1e-4,
  'training loss': 1e-3,
  'gradient norm': 1e-3,
  'final adapter': 2e-3,
  'time features': 1e-6,
  condition: 1e-5,
  // In parts of the largest entry: a diffusion transformer's residual stream is large.
  'residual stream': 1e-5,
  velocity: 1e-4,
  picture: 1e-3,
  pixels: 1,
  'final adapter, furthest': 5e-3,
  'final adapter, 99 of 100': 1e-3,
}

/** Every comparison of a case within its tolerance, and not none. */
export function expectHeld(comparisons: readonly Comparison[]): void {
  expect(comparisons.length, 'comparisons made').toBeGreaterThan(0)
  for (const { quantity, name, error } of comparisons) {
    expect(error, `${quantity}, ${name}`).toBeLessThanOrEqual(TOLERANCES[quantity])
  }
}
