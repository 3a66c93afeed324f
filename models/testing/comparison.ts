/**
 * How far what was computed is from a fixture. Measuring alone, without a test runner, so that it works in a browser's
 * worker too; what is near enough says `tolerances.ts`.
 */
import { type Adapter, loraA, loraB } from '../adapters/adapter.ts'
import { furthest, largest } from './distance.ts'
import type { Numbers } from './reference.ts'

/** What is compared; each has a tolerance of its own. */
export type Quantity =
  | 'hidden states'
  | 'logits'
  | 'merged logits'
  | 'counted targets'
  | 'token losses'
  | 'loss'
  | 'gradient'
  | 'training loss'
  | 'gradient norm'
  | 'final adapter'
  | 'time features'
  | 'condition'
  | 'residual stream'
  | 'velocity'
  | 'picture'
  | 'pixels'
  | 'final adapter, furthest'
  | 'final adapter, 99 of 100'

export interface Comparison {
  readonly quantity: Quantity
  /** Which of its kind, such as a tensor's name. */
  readonly name: string
  /** The furthest entry's distance; of a gradient or the residual stream in parts of its largest entry. Infinity for what is not a number. */
  readonly error: number
}

export function compare(quantity: Quantity, name: string, actual: Numbers, expected: Numbers): Comparison {
  if (expected.length === 0) throw new Error(`the fixture's ${quantity} ${name} are empty`)
  return { quantity, name, error: furthest(actual, expected) }
}

export function compareGradients(
  found: ReadonlyMap<string, Float32Array>,
  expected: (name: string) => Float32Array,
  adapter: Adapter,
): Comparison[] {
  const names = [...adapter.modules.keys()].flatMap((name) => [loraA(name), loraB(name)])
  if (found.size !== names.length) throw new Error(`${found.size} gradients instead of ${names.length}`)
  return names.map((name) => {
    const { error } = compare('gradient', name, found.get(name) ?? [], expected(name))
    return { quantity: 'gradient', name, error: error / Math.max(largest(expected(name)), 1e-6) }
  })
}

export function compareAdapters(found: Adapter, expected: Adapter): Comparison[] {
  if ([...found.modules.keys()].join() !== [...expected.modules.keys()].join()) {
    throw new Error('the adapter has other modules than the fixture')
  }
  return [...expected.modules].flatMap(([name, { a, b }]) => {
    const own = found.modules.get(name)!
    return [compare('final adapter', loraA(name), own.a, a), compare('final adapter', loraB(name), own.b, b)]
  })
}

export function compareSteps(
  readings: ReadonlyArray<{ loss: number; gradientNorm: number }>,
  losses: Numbers,
  norms: Numbers,
): Comparison[] {
  const loss = readings.map((reading) => reading.loss)
  const norm = readings.map((reading) => reading.gradientNorm)
  return [
    compare('training loss', 'of every step', loss, losses),
    compare('gradient norm', 'of every step', norm, norms),
  ]
}

/** In parts of the largest expected entry. */
export function compareInParts(
  quantity: Quantity,
  name: string,
  actual: Numbers,
  expected: Numbers,
): Comparison {
  const { error } = compare(quantity, name, actual, expected)
  return { quantity, name, error: error / Math.max(largest(expected), 1e-6) }
}

/** The distance that 99 of 100 entries stay within. */
export function mostOf(actual: Numbers, expected: Numbers): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  const apart = Array.from(expected, (entry, i) => Math.abs(actual[i] - entry)).sort((x, y) => x - y)
  return apart[Math.ceil(apart.length * 0.99) - 1]
}
