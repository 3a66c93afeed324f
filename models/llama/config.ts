/**
 * A Llama's config.json, in either layout Hugging Face transformers writes: version 4 (`rope_theta` at the
 * top, `rope_scaling` beside it) and version 5 (both inside `rope_parameters`). Defaults are those of
 * transformers' LlamaConfig. Nothing is believed before its range is checked: the numbers decide how much
 * memory is asked for.
 * https://huggingface.co/docs/transformers/model_doc/llama
 */
import { FormatError } from '../errors.ts'

export interface LlamaConfig {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  /** Divides `heads`: each key/value head serves heads / kvHeads query heads. */
  readonly kvHeads: number
  /** Even, for rotary pairs; need not be hiddenSize / heads. */
  readonly headDim: number
  readonly ropeTheta: number
  readonly rmsNormEps: number
  /** True: the output matrix is `model.embed_tokens.weight`. */
  readonly tiedEmbeddings: boolean
  /** Bias on q, k, v and o. */
  readonly attentionBias: boolean
  /** Bias on gate, up and down. */
  readonly mlpBias: boolean
  readonly maxPositions: number
  readonly bosId: number | null
  /** The first of `eosIds`. */
  readonly eosId: number | null
  /** Every token that ends a text: Llama 3's configuration lists several. */
  readonly eosIds: readonly number[]
}

/**
 * The largest value believed of each. The largest published Llama has 126 layers, width 16,384, feed-forward
 * 53,248, vocabulary 128,256.
 */
export const LLAMA_LIMITS = {
  layers: 1_000,
  width: 65_536,
  intermediate: 1_048_576,
  vocabulary: 2_000_000,
  positions: 16_777_216,
  ropeTheta: 1e12,
  rmsNormEps: 1,
} as const

const SUPPORTED =
  'supported are LlamaForCausalLM models with SiLU, RMSNorm and plain (unscaled) rotary positions, in float32, float16 or bfloat16'

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const show = (value: unknown) => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

const malformed = (message: string) =>
  new FormatError('config/malformed', `config.json ${message}; take the file from the model's own folder.`)

const unsupported = (what: string) =>
  new FormatError('config/unsupported', `This model has ${what}; ${SUPPORTED}.`)

function integer(config: Json, key: string, minimum: number, maximum: number, fallback?: number): number {
  const value = config[key] ?? fallback
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw malformed(`needs ${key} as a whole number from ${minimum} to ${maximum}, found ${show(value)}`)
  }
  return value
}

/** A finite number above zero and at most `maximum`. */
function positive(config: Json, key: string, maximum: number, fallback: number): number {
  const value = config[key] ?? fallback
  if (typeof value !== 'number' || !(value > 0 && value <= maximum)) {
    throw malformed(`needs ${key} as a number above 0 and at most ${maximum}, found ${show(value)}`)
  }
  return value
}

function boolean(config: Json, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback
  if (typeof value !== 'boolean') throw malformed(`needs ${key} as true or false, found ${show(value)}`)
  return value
}

function tokenIds(config: Json, key: string, vocabularySize: number): number[] {
  const value = config[key] ?? []
  const ids: unknown[] = Array.isArray(value) ? value : [value]
  for (const id of ids) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocabularySize) {
      throw malformed(`needs ${key} inside the vocabulary of ${vocabularySize}, found ${show(id)}`)
    }
  }
  return ids as number[]
}

function ropeTheta(config: Json): number {
  // transformers 5 moved rope_theta and rope_scaling into rope_parameters; some files carry both layouts.
  const sources: [string, unknown][] = [
    ['rope_parameters', config.rope_parameters],
    ['rope_scaling', config.rope_scaling],
  ]
  for (const [key, rope] of sources) {
    if (rope === undefined || rope === null) continue
    if (!isObject(rope)) throw malformed(`needs ${key} as an object, found ${show(rope)}`)
    const type = rope.rope_type ?? rope.type ?? 'default'
    if (type !== 'default') throw unsupported(`rotary scaling ${show(type)}`)
    const partial = rope.partial_rotary_factor ?? 1
    if (partial !== 1) throw unsupported(`partial_rotary_factor ${show(partial)}`)
  }
  const parameters = config.rope_parameters
  const source = isObject(parameters) && parameters.rope_theta !== undefined ? parameters : config
  return positive(source, 'rope_theta', LLAMA_LIMITS.ropeTheta, 10_000)
}

function refuseOtherArchitectures(config: Json): void {
  const architectures = config.architectures
  if (Array.isArray(architectures)) {
    if (!architectures.includes('LlamaForCausalLM')) throw unsupported(`architecture ${show(architectures)}`)
  } else if (config.model_type === undefined) {
    throw malformed('names no architecture and no model_type')
  }
  if (config.model_type !== undefined && config.model_type !== 'llama') {
    throw unsupported(`model_type ${show(config.model_type)}`)
  }
  const activation = config.hidden_act ?? 'silu'
  if (activation !== 'silu') throw unsupported(`activation ${show(activation)}`)
  if (config.quantization_config !== undefined && config.quantization_config !== null) {
    throw unsupported('a quantization_config')
  }
  if (config.rope_interleaved === true) throw unsupported('interleaved rotary positions')
}

/** What is wrong with numbers that may each be right, as the end of a sentence; null where they fit together. */
export function headsProblem(heads: number, kvHeads: number, headDim: number): string | null {
  if (heads % kvHeads !== 0) {
    return `has ${heads} attention heads, which ${kvHeads} key/value heads do not divide`
  }
  if (headDim % 2 !== 0) return `has heads of ${headDim}, and rotary positions need an even number`
  if (headDim * heads > LLAMA_LIMITS.width * 4) return `has ${heads} heads of ${headDim}, more than any model`
  return null
}

/**
 * Reads the parsed content of config.json.
 *
 * @throws FormatError `config/malformed` for a missing or impossible value, `config/unsupported` for a model
 * that is well described but is not a plain Llama.
 */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  if (!isObject(json)) throw malformed('is not a JSON object')
  refuseOtherArchitectures(json)
  const vocabularySize = integer(json, 'vocab_size', 1, LLAMA_LIMITS.vocabulary)
  const hiddenSize = integer(json, 'hidden_size', 1, LLAMA_LIMITS.width)
  const heads = integer(json, 'num_attention_heads', 1, LLAMA_LIMITS.width)
  const kvHeads = integer(json, 'num_key_value_heads', 1, LLAMA_LIMITS.width, heads)
  const headDim = integer(json, 'head_dim', 2, LLAMA_LIMITS.width, hiddenSize / heads)
  const wrongHeads = headsProblem(heads, kvHeads, headDim)
  if (wrongHeads) throw malformed(wrongHeads)
  const eosIds = tokenIds(json, 'eos_token_id', vocabularySize)
  return {
    vocabularySize,
    hiddenSize,
    intermediateSize: integer(json, 'intermediate_size', 1, LLAMA_LIMITS.intermediate),
    layers: integer(json, 'num_hidden_layers', 1, LLAMA_LIMITS.layers),
    heads,
    kvHeads,
    headDim,
    ropeTheta: ropeTheta(json),
    rmsNormEps: positive(json, 'rms_norm_eps', LLAMA_LIMITS.rmsNormEps, 1e-6),
    tiedEmbeddings: boolean(json, 'tie_word_embeddings', false),
    attentionBias: boolean(json, 'attention_bias', false),
    mlpBias: boolean(json, 'mlp_bias', false),
    maxPositions: integer(json, 'max_position_embeddings', 1, LLAMA_LIMITS.positions, 2048),
    bosId: tokenIds(json, 'bos_token_id', vocabularySize)[0] ?? null,
    eosId: eosIds[0] ?? null,
    eosIds,
  }
}
