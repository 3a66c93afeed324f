/**
 * The best scale of a merged adapter: a line search for the least loss, which costs a measurement a step. From 1 it
 * doubles or halves as long as that helps; the golden section (Kiefer 1953) then narrows what lies between.
 */

export interface Measured {
  readonly scale: number
  readonly loss: number
}

/** Scales beyond a factor of this from 1 say that something else is wrong. */
const FURTHEST = 16

/** Stops when the best is known to this share of itself: losses are flat near their least. */
const NARROW = 0.05

const GOLDEN = (Math.sqrt(5) - 1) / 2

/** All that was measured, in that order; the best has the least loss. `loss` is called once a scale. */
export async function searchScale(loss: (scale: number) => Promise<number>): Promise<Measured[]> {
  const measured: Measured[] = []
  const at = async (scale: number) => {
    const known = measured.find((one) => one.scale === scale)
    if (known) return known.loss
    const value = await loss(scale)
    measured.push({ scale, loss: value })
    return value
  }
  let best = 1
  for (const factor of [2, 1 / 2]) {
    while (best * factor <= FURTHEST && best * factor >= 1 / FURTHEST) {
      if (!((await at(best * factor)) < (await at(best)))) break
      best *= factor
    }
    if (best !== 1) break
  }
  let [low, high] = [best / 2, best * 2]
  let left = high - GOLDEN * (high - low)
  let right = low + GOLDEN * (high - low)
  while (high - low > NARROW * best) {
    if ((await at(left)) <= (await at(right))) {
      high = right
      right = left
      left = high - GOLDEN * (high - low)
    } else {
      low = left
      left = right
      right = low + GOLDEN * (high - low)
    }
  }
  return measured
}

/** A loss that is no number is the worst: the scale overflows the model. */
export const bestOf = (measured: readonly Measured[]): Measured =>
  measured.reduce((best, one) => (one.loss < best.loss || Number.isNaN(best.loss) ? one : best))
