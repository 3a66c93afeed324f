/** How long and how hard an adapter is trained: fixed by a room's manifest, the same for every client. */
import { ModelsError } from '../errors.ts'

export interface Recipe {
  /** Optimiser steps. */
  readonly steps: number
  /** Examples a step. */
  readonly batch: number
  /** Predictions a window, padding included. */
  readonly tokens: number
  readonly learningRate: number
  /** Steps over which the learning rate rises from 0. */
  readonly warmupSteps: number
  /** Steps at the full rate before it falls linearly to 0; none where it is left out. */
  readonly holdSteps?: number | undefined
  readonly weightDecay: number
  /** Gradients are clipped to this global norm; 0 turns clipping off. */
  readonly maxNorm: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** Steps between two measurements on the held-out examples. */
  readonly evaluateEvery: number
}

/** What works for the embedded model: a few minutes on one processor core. */
export const DEFAULT_RECIPE: Recipe = {
  steps: 60,
  batch: 8,
  tokens: 128,
  learningRate: 3e-3,
  warmupSteps: 0,
  weightDecay: 0.01,
  maxNorm: 1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  evaluateEvery: 20,
}

/** Throws ModelsError `recipe/invalid`, naming the first number that makes no sense. */
export function checkRecipe(recipe: Recipe): void {
  const atLeast = (name: keyof Recipe, least: number, whole: boolean) => {
    const number = recipe[name] ?? 0
    if (!(number >= least) || !Number.isFinite(number) || (whole && !Number.isSafeInteger(number))) {
      throw invalid(`${name} is ${number}, but must be a ${whole ? 'whole ' : ''}number of at least ${least}`)
    }
  }
  for (const name of ['steps', 'batch', 'tokens', 'evaluateEvery'] as const) atLeast(name, 1, true)
  atLeast('warmupSteps', 0, true)
  atLeast('holdSteps', 0, true)
  for (const name of ['learningRate', 'weightDecay', 'maxNorm', 'beta1', 'beta2', 'epsilon'] as const) {
    atLeast(name, 0, false)
  }
  // Bias correction divides by 1 - beta^step, and the update by a root that may be 0 plus epsilon.
  for (const name of ['beta1', 'beta2'] as const) {
    if (recipe[name] >= 1) throw invalid(`${name} is ${recipe[name]}, but must be below 1`)
  }
  if (Math.fround(recipe.epsilon) === 0) throw invalid(`epsilon is ${recipe.epsilon}, but must be above 0`)
}

const invalid = (what: string) =>
  new ModelsError('recipe/invalid', `The training recipe cannot be followed: ${what}.`)
