/**
 * A private room's one publication: the mean of the clients' clipped changes with Gaussian noise.
 * Dwork & Roth 2014, https://doi.org/10.1561/0400000042 , with the noise of gaussian.ts
 *
 *   x = x0 + (sum c_k Δ_k + z) / K,   c_k = min(1, C / |Δ_k|),   z ~ N(0, (sigma C)²) in every entry
 *
 * Δ_k is all that client k sent (FFA's B or LoRA-SB's R), |.| its L2 norm. Every client weighs the same: a claimed
 * example count would be a sensitivity of its own.
 *
 * Sensitivity assumed, of the sum: C, for one client's update added or left out, K being public. (To hide which of two
 * updates a client sent, it would be 2 C.)
 *
 * All is done in whole numbers of 2^-24, clipped ones cut towards zero so that no norm exceeds C. Both sum and noise
 * lie on that grid, so the result is exact noise rounded afterwards, and the low bits of a floating-point sum betray
 * nothing (Mironov 2012, https://doi.org/10.1145/2382196.2382264). K clients: one pass over each update, one at a time.
 */
import type { Adapter, AdapterForm } from '../../models/adapters/adapter.ts'
import { type Contribution, checkContribution, checkCount } from './contribution.ts'
import { MergeError } from './errors.ts'
import { FIXED_POINT } from './factor-sum.ts'
import { normalsFrom, type RandomFill } from './normals.ts'
import { roundStart, withTrained } from './round-start.ts'

export interface PrivateRound {
  readonly initial: Adapter
  readonly form: AdapterForm
  /** Read once, one after the other, in any order; a digest that comes again is left out. */
  readonly updates: Iterable<Contribution>
  /** C */
  readonly clip: number
  /** Standard deviation of the noise as a multiple of the clip: `gaussianSigma` of epsilon and delta. */
  readonly sigma: number
  /** From a cryptographic generator, unless a test draws. */
  readonly random: RandomFill
}

/** In the form the clients trained. Throws MergeError. */
export function noisyMean({ initial, form, updates, clip, sigma, random }: PrivateRound): Adapter {
  if (!(clip > 0 && Number.isFinite(clip) && sigma >= 0 && Number.isFinite(sigma))) {
    throw new MergeError('merge/privacy', `Clip and sigma are positive numbers, not ${clip} and ${sigma}.`)
  }
  const start = roundStart(initial, form)
  const sums = new Map<string, Float64Array>()
  for (const [tensor, { length }] of start.trained) sums.set(tensor, new Float64Array(length))
  const seen = new Set<string>()
  for (const update of updates) {
    if (seen.has(update.digest)) continue
    seen.add(update.digest)
    checkCount(seen.size)
    checkContribution(start, update)
    addClipped(sums, update, clip)
  }
  if (seen.size === 0) {
    throw new MergeError('merge/nothing', 'There is no update to merge yet: wait for the first contribution.')
  }
  const normal = normalsFrom(random)
  const deviation = sigma * clip * FIXED_POINT
  const divisor = FIXED_POINT * seen.size
  return withTrained(start, (tensor, values) => {
    const sum = sums.get(tensor)!
    return values.map((value, i) => value + (sum[i]! + Math.round(deviation * normal())) / divisor)
  })
}

function addClipped(sums: ReadonlyMap<string, Float64Array>, update: Contribution, clip: number) {
  const norm = changeNorm(sums.keys(), update)
  const factor = (norm > clip ? clip / norm : 1) * FIXED_POINT
  for (const [tensor, sum] of sums) {
    const change = update.change.get(tensor)!
    for (let i = 0; i < sum.length; i++) sum[i]! += Math.trunc(factor * change[i]!)
  }
}

/** L2 norm of all that a client sent. */
export function changeNorm(tensors: Iterable<string>, { change }: Contribution): number {
  let squares = 0
  for (const tensor of tensors) for (const value of change.get(tensor)!) squares += value * value
  return Math.sqrt(squares)
}
