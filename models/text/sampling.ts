/**
 * The next token from its logits: repetition penalty, temperature, nucleus. Depends on its arguments and the random
 * stream alone, so that one seed gives one text.
 */
import type { RandomStream } from '../adapters/random.ts'

export interface SamplingOptions {
  /** 0 is greedy: always the likeliest token. Default 0. */
  readonly temperature?: number | undefined
  /** Samples from the fewest likeliest tokens whose probabilities reach this sum. Default 1: from all. */
  readonly topP?: number | undefined
  /**
   * Logits of tokens that the prompt or the text already holds are divided by this where above 0 and multiplied where
   * below; 1, the default, changes nothing. Keskar et al. 2019, https://arxiv.org/abs/1909.05858
   */
  readonly repetitionPenalty?: number | undefined
}

export interface Choice {
  readonly id: number
  /** Lead of the likeliest logit over the second, penalties included. */
  readonly margin: number
}

/** `logits` are changed in place where there is a penalty. `seen`: ids of the prompt and of the text so far. */
export function choose(
  logits: Float32Array,
  seen: ReadonlySet<number>,
  { temperature = 0, topP = 1, repetitionPenalty = 1 }: SamplingOptions,
  random: Pick<RandomStream, 'nextFloat'>,
): Choice {
  if (repetitionPenalty !== 1) {
    for (const id of seen) {
      const logit = logits[id]
      logits[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty
    }
  }
  const { best, margin } = likeliest(logits)
  if (temperature <= 0) return { id: best, margin }
  return { id: sample(logits, best, temperature, topP, random), margin }
}

function likeliest(logits: Float32Array): { best: number; margin: number } {
  let best = 0
  let second = -1
  for (let id = 1; id < logits.length; id++) {
    if (logits[id] > logits[best]) {
      second = best
      best = id
    } else if (second < 0 || logits[id] > logits[second]) second = id
  }
  return { best, margin: second < 0 ? Number.POSITIVE_INFINITY : logits[best] - logits[second] }
}

/** Nucleus sampling, Holtzman et al. 2019, https://arxiv.org/abs/1904.09751 */
function sample(
  logits: Float32Array,
  best: number,
  temperature: number,
  topP: number,
  random: Pick<RandomStream, 'nextFloat'>,
): number {
  const weights = new Float64Array(logits.length)
  let total = 0
  for (let id = 0; id < logits.length; id++) {
    weights[id] = Math.exp((logits[id] - logits[best]) / temperature)
    total += weights[id]
  }
  // Tokens below (1 - topP) / n together weigh less than 1 - topP: none of them is in the nucleus, and only the
  // others are sorted. Half of it leaves room for rounding.
  const least = (0.5 * (1 - topP) * total) / logits.length
  const kept: number[] = []
  for (let id = 0; id < logits.length; id++) if (weights[id] > 0 && weights[id] >= least) kept.push(id)
  kept.sort((x, y) => weights[y] - weights[x] || x - y)
  let sum = 0
  let count = 0
  while (count < kept.length && (count === 0 || sum < topP * total)) sum += weights[kept[count++]]
  let draw = random.nextFloat() * sum
  for (let rank = 0; rank < count; rank++) {
    draw -= weights[kept[rank]]
    if (draw < 0) return kept[rank]
  }
  return kept[count - 1]
}
