/**
 * RFA: the weighted geometric median of the clients' whole deltas, which no minority of the weight can drag away.
 * Pillutla et al. 2019, https://arxiv.org/abs/1912.13445
 *
 *   z = argmin sum p_k |z - D_k|;   smoothed Weiszfeld: z <- sum b_k D_k,  b_k ∝ p_k / max(nu, |z - D_k|)
 *
 * z is always a weighted mean of the deltas, so it is enough to follow its weights b: |z - D_k|² is a quadratic form
 * in the deltas' inner products, and no delta is ever formed. As z - D_k has the weights b - e_k, which vanish with
 * it, the distance is accurate even where z comes to lie on a client. The paper stops after a few steps; this goes
 * on until z rests.
 *
 * On deltas, never on factors. Ranks may differ. Weights: example counts, capped; a client with more than half of
 * them is itself the answer. K clients of rank r: K² r² (in + out) a module for the inner products, K³ a step, then
 * as a weighted mean (factor-stack.ts).
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type FactorStack, weightedStack } from './factor-stack.ts'
import { gramMatrix } from './gram.ts'

/** Distances below this count as this, so that no weight is infinite. */
const NU = 1e-6

/** z rests when a step moves it by less than this share of its norm. */
const AT_REST = 1e-13

/** Tens are usual; beyond this a step moves z by less than its rounding matters. */
const MAX_STEPS = 1_000

/** The weights are found at once, for all modules together; the modules are then merged one by one. */
export function rfa(
  modules: readonly AdapterModule[],
  clients: readonly Client[],
): (module: AdapterModule) => FactorStack {
  const weights = rfaWeights(modules, clients)
  return (module) => weightedStack(module, clients, weights)
}

/** The geometric median's weights in the clients' mean. */
export function rfaWeights(modules: readonly AdapterModule[], clients: readonly Client[]): number[] {
  return geometricMedian(
    gramMatrix(modules, clients),
    clients.map(({ weight }) => weight),
  )
}

/** Weights of the geometric median as a mean of the points whose inner products are `gram` [K, K]. */
export function geometricMedian(
  gram: readonly Float64Array[],
  weights: readonly number[],
  maxSteps = MAX_STEPS,
): number[] {
  let point = normalised(weights)
  for (let step = 0; step < maxSteps; step++) {
    const next = normalised(
      weights.map((weight, k) => weight / Math.max(NU, lengthOf(gram, fromClient(point, k)))),
    )
    const moved = lengthOf(
      gram,
      next.map((value, k) => value - point[k]!),
    )
    point = next
    if (moved <= AT_REST * lengthOf(gram, point)) break
  }
  return point
}

function normalised(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

/** Weights of z - D_k: those of z, and at k less the sum of all others, which is exact where that is small. */
function fromClient(point: readonly number[], k: number): number[] {
  let others = 0
  point.forEach((value, j) => {
    if (j !== k) others += value
  })
  return point.map((value, j) => (j === k ? -others : value))
}

/** |sum x_k D_k| */
function lengthOf(gram: readonly Float64Array[], x: readonly number[]): number {
  let squares = 0
  for (let j = 0; j < x.length; j++) {
    let row = 0
    for (let k = 0; k < x.length; k++) row += gram[j]![k]! * x[k]!
    squares += x[j]! * row
  }
  return Math.sqrt(Math.max(0, squares))
}
