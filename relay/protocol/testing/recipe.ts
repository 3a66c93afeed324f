/** A recipe that a room of the embedded model would have: for tests and benches that need one and train nothing. */
import type { Recipe } from '../manifest.ts'

export const SAMPLE_RECIPE: Recipe = {
  steps: 60,
  batch: 8,
  tokens: 128,
  learningRate: 0.003,
  warmupSteps: 5,
  weightDecay: 0,
  maxNorm: 1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  evaluateEvery: 10,
}
