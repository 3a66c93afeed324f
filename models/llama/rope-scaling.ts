/**
 * How Llama 3.1 and later stretch rotary positions beyond the length they were pretrained on: pairs that turn slowly
 * are slowed further, pairs that turn fast are left alone, and those between are blended. Hugging Face's config.json
 * gives the four numbers (`rope_type: llama3`), a GGUF file the finished divisor of every pair's frequency
 * (`rope_freqs.weight`).
 * https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_rope_utils.py
 */

export interface Llama3Scaling {
  readonly factor: number
  readonly lowFrequencyFactor: number
  readonly highFrequencyFactor: number
  /** Positions of the pretraining. */
  readonly originalPositions: number
}

/** Divisors of the frequencies that lie in the model's own file, under this name. */
export const ROPE_FACTORS_TENSOR = 'rope_freqs.weight'

/** By which a pair's frequency (radians a position) is divided: 1 to `factor`. */
export function llama3Divisor(frequency: number, scaling: Llama3Scaling): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling
  const turns = (originalPositions * frequency) / (2 * Math.PI) // in the whole of the pretrained length
  if (turns > high) return 1
  if (turns < low) return factor
  const blend = (turns - low) / (high - low)
  return 1 / ((1 - blend) / factor + blend)
}
