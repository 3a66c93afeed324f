/**
 * Independent draws from N(0, 1) out of random bytes, by Box & Muller 1958. The radius' uniform has 106 bits, so
 * that tails reach 12 standard deviations: a generator of 53 bits ends at 8.6, and what it can never draw is a
 * promise that the noise does not keep.
 */

/** Fills the bytes with randomness; for a private release from a cryptographic generator (`randomFillSync`). */
export type RandomFill = (bytes: Uint8Array) => void

/** Pairs a refill: 6 KB a call, below the 64 KB that WebCrypto gives at once. */
const PAIRS = 256
const WORDS_A_PAIR = 6

export function normalsFrom(fill: RandomFill): () => number {
  const words = new Uint32Array(PAIRS * WORDS_A_PAIR)
  let next = words.length
  let kept: number | null = null
  /** A whole number below 2^53. */
  const whole53 = () => {
    const high = words[next++]! >>> 5
    return high * 2 ** 26 + (words[next++]! >>> 6)
  }
  return () => {
    if (kept !== null) {
      const value = kept
      kept = null
      return value
    }
    for (;;) {
      if (next === words.length) {
        fill(new Uint8Array(words.buffer))
        next = 0
      }
      const uniform = whole53() * 2 ** -53 + whole53() * 2 ** -106
      const angle = 2 * Math.PI * (whole53() * 2 ** -53)
      if (uniform === 0) continue
      const radius = Math.sqrt(-2 * Math.log(uniform))
      kept = radius * Math.sin(angle)
      return radius * Math.cos(angle)
    }
  }
}
