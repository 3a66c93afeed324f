/**
 * The config.json of a Llama, or of a Qwen that differs from one by biases (Qwen2) or by normed queries and keys
 * (Qwen3), in either layout Hugging Face transformers writes: version 4 (`rope_theta` at the
 * top, `rope_scaling` beside it) and version 5 (both inside `rope_parameters`). Defaults are those of
 * transformers. Nothing is believed before its range is checked: the numbers decide how much
 * memory is asked for.
 * https://huggingface.co/docs/transformers/model_doc/llama
 */
import { FormatError } from '../errors.ts'
import type { Llama3Scaling } from './rope-scaling.ts'

/** As GGUF's general.architecture and config.json's model_type call them. */
export type Architecture = 'llama' | 'qwen2' | 'qwen3'

/** By what config.json's `architectures` calls them. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  LlamaForCausalLM: 'llama',
  Qwen2ForCausalLM: 'qwen2',
  Qwen3ForCausalLM: 'qwen3',
}

export const isArchitecture = (value: unknown): value is Architecture =>
  Object.values(ARCHITECTURES).includes(value as Architecture)

export interface LlamaConfig {
  readonly architecture: Architecture
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
  /** Null: plain positions. `in-file`: the weights hold the divisors of the frequencies. */
  readonly ropeScaling: Llama3Scaling | 'in-file' | null
  readonly rmsNormEps: number
  /** True: the output matrix is `model.embed_tokens.weight`. */
  readonly tiedEmbeddings: boolean
  /** Bias on q, k and v. */
  readonly attentionBias: boolean
  /** Bias on o. */
  readonly outputBias: boolean
  /** Every head of q and k is normed before it is turned to its position. */
  readonly qkNorm: boolean
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

const SUPPORTED = `supported are ${Object.keys(ARCHITECTURES).join(', ')} with SiLU, RMSNorm and rotary positions, plain or scaled as Llama 3's, in float32, float16 or bfloat16`

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

/** Where transformers 4 and 5 put the rotary parameters; some files carry both layouts. */
function rotary(config: Json): Json[] {
  return ['rope_parameters', 'rope_scaling'].flatMap((key) => {
    const rope = config[key]
    if (rope === undefined || rope === null) return []
    if (!isObject(rope)) throw malformed(`needs ${key} as an object, found ${show(rope)}`)
    return [rope]
  })
}

function ropeScaling(config: Json): Llama3Scaling | null {
  let scaling: Llama3Scaling | null = null
  for (const rope of rotary(config)) {
    const partial = rope.partial_rotary_factor ?? 1
    if (partial !== 1) throw unsupported(`partial_rotary_factor ${show(partial)}`)
    const type = rope.rope_type ?? rope.type ?? 'default'
    if (type === 'default') continue
    if (type !== 'llama3') throw unsupported(`rotary scaling ${show(type)}`)
    const number = (key: string) => positive(rope, key, LLAMA_LIMITS.positions, Number.NaN)
    scaling = {
      factor: number('factor'),
      lowFrequencyFactor: number('low_freq_factor'),
      highFrequencyFactor: number('high_freq_factor'),
      originalPositions: number('original_max_position_embeddings'),
    }
    if (scaling.lowFrequencyFactor >= scaling.highFrequencyFactor) {
      throw malformed('needs low_freq_factor below high_freq_factor')
    }
  }
  return scaling
}

function ropeTheta(config: Json): number {
  const parameters = config.rope_parameters
  const source = isObject(parameters) && parameters.rope_theta !== undefined ? parameters : config
  return positive(source, 'rope_theta', LLAMA_LIMITS.ropeTheta, 10_000)
}

function architectureOf(config: Json): Architecture {
  const { architectures, model_type: type } = config
  if (architectures === undefined && type === undefined)
    throw malformed('names no architecture and no model_type')
  if (type !== undefined && !isArchitecture(type)) throw unsupported(`model_type ${show(type)}`)
  if (architectures === undefined) return type!
  const named = Array.isArray(architectures) ? architectures[0] : architectures
  if (typeof named !== 'string' || !Object.hasOwn(ARCHITECTURES, named)) {
    throw unsupported(`architecture ${show(architectures)}`)
  }
  const architecture = ARCHITECTURES[named]
  if (type !== undefined && type !== architecture) {
    throw unsupported(`architecture ${show(architectures)} with model_type ${show(type)}`)
  }
  return architecture
}

function refuseOtherForms(config: Json): void {
  const activation = config.hidden_act ?? 'silu'
  if (activation !== 'silu') throw unsupported(`activation ${show(activation)}`)
  if (config.quantization_config !== undefined && config.quantization_config !== null) {
    throw unsupported('a quantization_config')
  }
  if (config.rope_interleaved === true) throw unsupported('interleaved rotary positions')
  const layerTypes = Array.isArray(config.layer_types) ? config.layer_types : []
  if (config.use_sliding_window === true || layerTypes.some((type) => type !== 'full_attention')) {
    throw unsupported('attention in a sliding window')
  }
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

/** Which projections of attention have a bias, and whether q and k are normed: the architecture says, or its file. */
function attentionForm(config: Json, architecture: Architecture) {
  if (architecture === 'qwen2') return { attentionBias: true, outputBias: false, qkNorm: false }
  const bias = boolean(config, 'attention_bias', false)
  return { attentionBias: bias, outputBias: bias, qkNorm: architecture === 'qwen3' }
}

/** transformers' default where the file does not say: only Qwen3's heads are not a share of the width. */
const defaultHeadDim = (architecture: Architecture, hiddenSize: number, heads: number) =>
  architecture === 'qwen3' ? 128 : hiddenSize / heads

/**
 * Reads the parsed content of config.json.
 *
 * @throws FormatError `config/malformed` for a missing or impossible value, `config/unsupported` for a model
 * that is well described but of another kind.
 */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  if (!isObject(json)) throw malformed('is not a JSON object')
  const architecture = architectureOf(json)
  refuseOtherForms(json)
  const vocabularySize = integer(json, 'vocab_size', 1, LLAMA_LIMITS.vocabulary)
  const hiddenSize = integer(json, 'hidden_size', 1, LLAMA_LIMITS.width)
  const heads = integer(json, 'num_attention_heads', 1, LLAMA_LIMITS.width)
  const kvHeads = integer(json, 'num_key_value_heads', 1, LLAMA_LIMITS.width, heads)
  const headDim = integer(
    json,
    'head_dim',
    2,
    LLAMA_LIMITS.width,
    defaultHeadDim(architecture, hiddenSize, heads),
  )
  const wrongHeads = headsProblem(heads, kvHeads, headDim)
  if (wrongHeads) throw malformed(wrongHeads)
  const eosIds = tokenIds(json, 'eos_token_id', vocabularySize)
  return {
    architecture,
    vocabularySize,
    hiddenSize,
    intermediateSize: integer(json, 'intermediate_size', 1, LLAMA_LIMITS.intermediate),
    layers: integer(json, 'num_hidden_layers', 1, LLAMA_LIMITS.layers),
    heads,
    kvHeads,
    headDim,
    ropeTheta: ropeTheta(json),
    ropeScaling: ropeScaling(json),
    rmsNormEps: positive(json, 'rms_norm_eps', LLAMA_LIMITS.rmsNormEps, 1e-6),
    tiedEmbeddings: boolean(json, 'tie_word_embeddings', false),
    ...attentionForm(json, architecture),
    mlpBias: architecture === 'llama' && boolean(json, 'mlp_bias', false),
    maxPositions: integer(json, 'max_position_embeddings', 1, LLAMA_LIMITS.positions, 2048),
    bosId: tokenIds(json, 'bos_token_id', vocabularySize)[0] ?? null,
    eosId: eosIds[0] ?? null,
    eosIds,
  }
}
