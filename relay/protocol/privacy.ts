/**
 * What a private room promises, and what that is worth with the contributions it has: figures that the relay states
 * with its status, and the sentences that say them. One release, so epsilon and delta are spent once.
 *
 * With K contributions the published mean holds noise of length about sigma C sqrt(d) / K beside a mean no longer than
 * the clip C; d counts the numbers that each participant sends. Their ratio is all that K changes.
 */
import * as v from 'valibot'
import { finiteNumber, wholeNumber } from './fields.ts'
import type { Manifest, Privacy } from './manifest.ts'
import { trainedNumbers } from './trained-numbers.ts'

export const privacyFiguresSchema = v.strictObject({
  epsilon: finiteNumber(0, 1e6),
  delta: finiteNumber(0, 1),
  /** C: longer changes are scaled down to this L2 norm. */
  clip: finiteNumber(0, 1e9),
  /** Standard deviation of the noise on the sum, as a multiple of the clip. */
  sigma: finiteNumber(0, 1e9),
  /** d */
  numbers: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  /** Length of the noise as a multiple of the longest the mean can be; null while nothing counts. */
  noiseToClip: v.nullable(finiteNumber(0, 1e18)),
  /** Contributions at which both are equally long. */
  equalAt: wholeNumber(1, Number.MAX_SAFE_INTEGER),
})

export type PrivacyFigures = v.InferOutput<typeof privacyFiguresSchema>

/** `sigma` is the analytic Gaussian mechanism's for this epsilon and delta. */
export function privacyFigures(
  { privacy, adapter }: Manifest & { readonly privacy: Privacy },
  sigma: number,
  contributions: number,
): PrivacyFigures {
  const numbers = trainedNumbers(adapter)
  const equal = sigma * Math.sqrt(numbers)
  return {
    ...privacy,
    sigma,
    numbers,
    noiseToClip: contributions > 0 ? equal / contributions : null,
    equalAt: Math.max(1, Math.ceil(equal)),
  }
}

/** From what others call a meaningful promise to one on paper only. */
function strength(epsilon: number): string {
  if (epsilon <= 1) return 'a strong promise'
  if (epsilon <= 4) return 'a moderate promise'
  return epsilon <= 10 ? 'a weak promise' : 'hardly a promise'
}

const figure = (value: number) => Number(value.toPrecision(2)).toLocaleString('en')

/** For a person: what is promised, and what is left to learn from the result. */
export function privacyInWords({ epsilon, delta, noiseToClip, equalAt }: PrivacyFigures): string {
  const promise = `Epsilon ${epsilon}, delta ${delta}: ${strength(epsilon)} that the result tells nobody whether one person took part.`
  const equal = `At ${equalAt.toLocaleString('en')} contributions the noise is as long as the longest change that can be learned.`
  if (noiseToClip === null) return `${promise} ${equal}`
  if (noiseToClip > 1) {
    return `${promise} With the contributions there are, the noise is ${figure(noiseToClip)} times as long as the longest change that can be learned: the result will be mostly noise. ${equal}`
  }
  const share = `With the contributions there are, the noise is ${figure(noiseToClip * 100)} % of the longest change that can be learned`
  return noiseToClip > 0.3
    ? `${promise} ${share}: much of what was learned will be lost in it.`
    : `${promise} ${share}: most of what was learned remains.`
}
