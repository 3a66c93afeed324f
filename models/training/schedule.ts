/** The learning rate of a step and the numbers the optimiser takes with it. */
import { HYPER } from '../ops/ops.ts'
import type { Recipe } from './recipe.ts'

/**
 * Steps count from 1. Rises linearly over `warmupSteps`, the last of which has the full rate; stays there for
 * `holdSteps`; falls linearly afterwards and would be 0 one step past the end, so that no step is wasted.
 */
export function learningRateAt(recipe: Recipe, step: number): number {
  const { learningRate, warmupSteps, holdSteps = 0, steps } = recipe
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps
  const falling = steps - warmupSteps - holdSteps
  return falling > 0 ? learningRate * Math.max(0, Math.min(1, (steps - step + 1) / falling)) : learningRate
}

/** The `hyper` input of `Ops.adamw` [8] for a step, from 1. */
export function hyperParameters(recipe: Recipe, step: number): Float32Array {
  const hyper = new Float32Array(8)
  hyper[HYPER.learningRate] = learningRateAt(recipe, step)
  hyper[HYPER.beta1] = recipe.beta1
  hyper[HYPER.beta2] = recipe.beta2
  hyper[HYPER.epsilon] = recipe.epsilon
  hyper[HYPER.weightDecay] = recipe.weightDecay
  hyper[HYPER.correction1] = 1 - recipe.beta1 ** step
  hyper[HYPER.correction2] = 1 - recipe.beta2 ** step
  hyper[HYPER.maxNorm] = recipe.maxNorm
  return hyper
}
