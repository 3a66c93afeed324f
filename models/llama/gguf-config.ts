/**
 * The configuration of a Llama, Qwen2 or Qwen3 from a GGUF file's metadata (`llama.*` and so on, written by
 * llama.cpp's converter). Whatever would make another model of it (other scaled rotary positions, experts, layers
 * that differ) is refused by name: a model run without it would answer, and be wrong.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#llm
 */
import { FormatError } from '../errors.ts'
import { type GgufMetadata, showValue } from '../formats/gguf-metadata.ts'
import { type Architecture, headsProblem, isArchitecture, LLAMA_LIMITS, type LlamaConfig } from './config.ts'

const malformed = (message: string) =>
  new FormatError('config/malformed', `This GGUF file ${message}; download it again.`)

const unsupported = (what: string) =>
  new FormatError(
    'config/unsupported',
    `This GGUF file holds ${what}; supported are models of architecture llama (Llama, SmolLM2, TinyLlama), qwen2 and qwen3 with rotary positions that are plain or scaled as Llama 3's.`,
  )

function integer(metadata: GgufMetadata, key: string, minimum: number, maximum: number, fallback?: number) {
  const value = metadata.get(key) ?? fallback
  if (Array.isArray(value)) throw unsupported(`layers that differ (${key} is a list)`)
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw malformed(`needs ${key} as a whole number from ${minimum} to ${maximum}, found ${showValue(value)}`)
  }
  return value
}

/** A finite number above zero and at most `maximum`. */
function positive(metadata: GgufMetadata, key: string, maximum: number, fallback?: number): number {
  const value = metadata.get(key) ?? fallback
  if (typeof value !== 'number' || !(value > 0 && value <= maximum)) {
    throw malformed(`needs ${key} as a number above 0 and at most ${maximum}, found ${showValue(value)}`)
  }
  return value
}

function tokenId(metadata: GgufMetadata, key: string, vocabularySize: number): number[] {
  return metadata.has(key) ? [integer(metadata, key, 0, vocabularySize - 1)] : []
}

/** @throws FormatError `config/unsupported`, `config/malformed` for a file that holds no whole model of this family */
export function ggufArchitecture(metadata: GgufMetadata): Architecture {
  const kind = metadata.get('general.type') ?? 'model'
  if (kind !== 'model') throw unsupported(`something of type ${showValue(kind)} and no model`)
  const architecture = metadata.get('general.architecture')
  if (architecture === undefined) throw malformed('names no general.architecture')
  if (!isArchitecture(architecture)) throw unsupported(`a model of architecture ${showValue(architecture)}`)
  const parts = metadata.get('split.count') ?? 0
  if (parts !== 0 && parts !== 1) {
    throw new FormatError(
      'config/unsupported',
      `This GGUF file is one of ${showValue(parts)} parts; join them with llama.cpp's gguf-split --merge first.`,
    )
  }
  return architecture
}

/** Of what these models do not do, and files of the same architecture may ask for. */
function refuseOtherForms(metadata: GgufMetadata, architecture: Architecture, headDim: number): void {
  const found = (key: string) => metadata.get(`${architecture}.${key}`)
  const scaling = found('rope.scaling.type') ?? 'none'
  if (scaling !== 'none') throw unsupported(`a model with rotary scaling ${showValue(scaling)}`)
  const linear = found('rope.scale_linear') ?? 1
  if (linear !== 1) throw unsupported(`a model with linear rotary scaling by ${showValue(linear)}`)
  const rotated = found('rope.dimension_count') ?? headDim
  if (rotated !== headDim) {
    throw unsupported(`a model that rotates ${showValue(rotated)} of each head's ${headDim} entries`)
  }
  const valueLength = found('attention.value_length') ?? headDim
  if (valueLength !== headDim) {
    throw unsupported(`a model with keys of ${headDim} and values of ${showValue(valueLength)}`)
  }
  const experts = found('expert_count') ?? 0
  if (experts !== 0) throw unsupported(`a mixture of ${showValue(experts)} experts`)
  if ((found('attention.causal') ?? true) !== true) throw unsupported('a model that is not causal')
  if ((found('attention.sliding_window') ?? 0) !== 0) throw unsupported('attention in a sliding window')
}

/** What the file's tensors say of the model: GGUF has no keys for it. */
export type GgufTraits = Pick<
  LlamaConfig,
  'tiedEmbeddings' | 'attentionBias' | 'outputBias' | 'qkNorm' | 'mlpBias' | 'ropeScaling'
>

/**
 * @throws FormatError `config/malformed` for a missing or impossible value, `config/unsupported` for a model that
 * is well described but of another kind
 */
export function ggufLlamaConfig(
  metadata: GgufMetadata,
  architecture: Architecture,
  traits: GgufTraits,
): LlamaConfig {
  const key = (name: string) => `${architecture}.${name}`
  const { width, layers, intermediate, positions, vocabulary, ropeTheta, rmsNormEps } = LLAMA_LIMITS
  const tokens = metadata.get('tokenizer.ggml.tokens')
  const listed = Array.isArray(tokens) ? tokens.length : undefined
  const vocabularySize = integer(metadata, key('vocab_size'), 1, vocabulary, listed)
  const hiddenSize = integer(metadata, key('embedding_length'), 1, width)
  const heads = integer(metadata, key('attention.head_count'), 1, width)
  const kvHeads = integer(metadata, key('attention.head_count_kv'), 1, width, heads)
  const headDim = integer(metadata, key('attention.key_length'), 2, width, hiddenSize / heads)
  const wrongHeads = headsProblem(heads, kvHeads, headDim)
  if (wrongHeads) throw malformed(wrongHeads)
  refuseOtherForms(metadata, architecture, headDim)
  // An instruction model ends its turn with another token than its text: all of them end an answer.
  const ends = ['eos', 'eot', 'eom'].flatMap((end) =>
    tokenId(metadata, `tokenizer.ggml.${end}_token_id`, vocabularySize),
  )
  const eosIds = [...new Set(ends)]
  return {
    architecture,
    vocabularySize,
    hiddenSize,
    intermediateSize: integer(metadata, key('feed_forward_length'), 1, intermediate),
    layers: integer(metadata, key('block_count'), 1, layers),
    heads,
    kvHeads,
    headDim,
    ropeTheta: positive(metadata, key('rope.freq_base'), ropeTheta, 10_000),
    rmsNormEps: positive(metadata, key('attention.layer_norm_rms_epsilon'), rmsNormEps),
    ...traits,
    maxPositions: integer(metadata, key('context_length'), 1, positions),
    bosId: tokenId(metadata, 'tokenizer.ggml.bos_token_id', vocabularySize)[0] ?? null,
    eosId: eosIds[0] ?? null,
    eosIds,
  }
}
