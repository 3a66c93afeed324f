/**
 * The analytic Gaussian mechanism: the least noise that makes one publication (epsilon, delta)-differentially
 * private. Balle & Wang 2018, https://arxiv.org/abs/1805.06530 , theorem 8:
 *
 *   Phi(s / (2 sigma) - epsilon sigma / s) - e^epsilon Phi(-s / (2 sigma) - epsilon sigma / s) <= delta
 *
 * with s the L2 sensitivity. Both terms can be tiny and close, and e^epsilon huge; with v² = u² + 2 epsilon the left
 * side is e^(-u²/2) / 2 (erfcx(-u/√2) - erfcx(-v/√2)), which overflows nowhere.
 */
import { MergeError } from './errors.ts'

export interface PrivacyBudget {
  readonly epsilon: number
  readonly delta: number
}

/** The least standard deviation, to 13 digits, of the noise on a release of this L2 sensitivity. Throws MergeError. */
export function gaussianSigma({ epsilon, delta }: PrivacyBudget, sensitivity = 1): number {
  if (!(epsilon > 0 && Number.isFinite(epsilon) && delta > 0 && delta < 1)) {
    throw new MergeError(
      'merge/privacy',
      `A privacy budget is an epsilon above 0 and a delta between 0 and 1, not ${epsilon} and ${delta}.`,
    )
  }
  let high = 1
  while (gaussianDelta(epsilon, high) > delta) high *= 2
  let low = high
  while (gaussianDelta(epsilon, low) <= delta) low /= 2
  // delta falls with sigma; the upper end always keeps the promise.
  for (;;) {
    const middle = (low + high) / 2
    if (middle <= low || middle >= high) return high * sensitivity
    if (gaussianDelta(epsilon, middle) > delta) low = middle
    else high = middle
  }
}

/** The delta that noise of this standard deviation gives at sensitivity 1. */
export function gaussianDelta(epsilon: number, sigma: number): number {
  const u = 1 / (2 * sigma) - epsilon * sigma
  const minusV = 1 / (2 * sigma) + epsilon * sigma
  const weight = Math.exp((-u * u) / 2) / 2
  const second = weight * erfcx(minusV / Math.SQRT2)
  return u > 0 ? 1 - weight * erfcx(u / Math.SQRT2) - second : weight * erfcx(-u / Math.SQRT2) - second
}

/** e^(x²) erfc(x) for x >= 0, to 13 digits. */
function erfcx(x: number): number {
  return x < 2 ? Math.exp(x * x) - erfSeries(x) : erfcFraction(x)
}

/** e^(x²) erf(x): all terms positive (Abramowitz & Stegun 7.1.6). */
function erfSeries(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; term > sum * Number.EPSILON; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

/** Terms of the continued fraction that give all digits from x = 2 on. */
const FRACTION_TERMS = 120

/** e^(x²) erfc(x) as a continued fraction (Abramowitz & Stegun 7.1.14). */
function erfcFraction(x: number): number {
  let tail = x
  for (let n = FRACTION_TERMS; n > 0; n--) tail = x + n / 2 / tail
  return 1 / (Math.sqrt(Math.PI) * tail)
}
