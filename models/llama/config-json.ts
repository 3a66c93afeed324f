/**
 * config.json in the layout of transformers 4, which 5 reads too: what a model from a GGUF file needs to be a folder
 * in Hugging Face's layout.
 */
import { FormatError } from '../errors.ts'
import type { Architecture, LlamaConfig } from './config.ts'
import { type Llama3Scaling, llama3Divisor } from './rope-scaling.ts'
import { plainFrequency } from './weights.ts'

const CLASSES: Readonly<Record<Architecture, string>> = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
}

/**
 * @param divisors of the rotary frequencies, where the model's file holds them
 * @throws FormatError `export/rope`
 */
export function configJson(config: LlamaConfig, divisors?: Float32Array): Record<string, unknown> {
  const scaling =
    config.ropeScaling === 'in-file' ? scalingOf(config, divisors ?? new Float32Array()) : config.ropeScaling
  return {
    architectures: [CLASSES[config.architecture]],
    model_type: config.architecture,
    vocab_size: config.vocabularySize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: scaling && {
      rope_type: 'llama3',
      factor: scaling.factor,
      low_freq_factor: scaling.lowFrequencyFactor,
      high_freq_factor: scaling.highFrequencyFactor,
      original_max_position_embeddings: scaling.originalPositions,
    },
    tie_word_embeddings: config.tiedEmbeddings,
    ...(config.architecture !== 'qwen2' && { attention_bias: config.attentionBias }),
    ...(config.architecture === 'llama' && { mlp_bias: config.mlpBias }),
    bos_token_id: config.bosId,
    eos_token_id: config.eosIds.length > 1 ? config.eosIds : config.eosId,
  }
}

/** Of every published Llama with scaled positions. */
const PUBLISHED = { lowFrequencyFactor: 1, highFrequencyFactor: 4 } as const

/** Divisors are stored as float32, and computed from frequencies that were rounded elsewhere. */
const SAME_DIVISOR = 1e-4

/** The four numbers that divisors were made from: a blended pair tells the pretrained length. */
function scalingOf({ headDim, ropeTheta }: LlamaConfig, divisors: Float32Array): Llama3Scaling {
  const factor = Math.max(...divisors)
  const frequency = (pair: number) => plainFrequency(ropeTheta, pair, headDim)
  const blended = divisors.findIndex(
    (divisor) => divisor > 1 + SAME_DIVISOR && divisor < factor * (1 - SAME_DIVISOR),
  )
  if (blended >= 0) {
    const { lowFrequencyFactor: low, highFrequencyFactor: high } = PUBLISHED
    const blend = (1 / divisors[blended] - 1 / factor) / (1 - 1 / factor)
    const turns = blend * (high - low) + low
    const originalPositions = Math.round((turns * 2 * Math.PI) / frequency(blended))
    const scaling = { factor, ...PUBLISHED, originalPositions }
    const same = divisors.every((divisor, pair) => {
      const expected = llama3Divisor(frequency(pair), scaling)
      return Math.abs(divisor - expected) <= SAME_DIVISOR * expected
    })
    if (same) return scaling
  }
  throw new FormatError(
    'export/rope',
    "This GGUF file scales rotary positions otherwise than Llama 3's published models do, and config.json has no words for it; start from the model's own folder.",
  )
}
