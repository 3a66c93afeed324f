/**
 * A tokenizer from a GGUF file's metadata (`tokenizer.ggml.*`): byte-level BPE, written out as the tokenizer.json
 * it was converted from. How text is split before the merges is named in the file, not described; the names are
 * llama.cpp's (https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp), the splits those of the
 * models' own tokenizer.json.
 */
import { FormatError } from '../errors.ts'
import type { GgufValue } from '../formats/gguf-header.ts'
import { type GgufMetadata, showValue } from '../formats/gguf-metadata.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'

type Json = Record<string, unknown>

interface PreTokenization {
  readonly preTokenizer: Json
  readonly normalizer: Json | null
  /** A piece that is a token as it stands is not built from merges. */
  readonly ignoreMerges: boolean
  /** Where the file does not say. */
  readonly addBos: boolean
}

const byteLevel = (splitAsGpt2: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: splitAsGpt2,
})

const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers })

const split = (pattern: string): Json => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
})

/** Llama 3 takes digits by up to three, Qwen 2 one by one; the rest of their pattern is the same. */
const wordsAndDigits = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

const GPT2: PreTokenization = {
  preTokenizer: byteLevel(true),
  normalizer: null,
  ignoreMerges: false,
  addBos: false,
}

const DIGITS_THEN_GPT2: PreTokenization = {
  ...GPT2,
  preTokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)),
}

const LLAMA3: PreTokenization = {
  preTokenizer: sequence(split(wordsAndDigits('\\p{N}{1,3}')), byteLevel(false)),
  normalizer: null,
  ignoreMerges: true,
  addBos: true,
}

const QWEN2: PreTokenization = {
  ...GPT2,
  preTokenizer: sequence(split(wordsAndDigits('\\p{N}')), byteLevel(false)),
  normalizer: { type: 'NFC' },
}

const PRE_TOKENIZATIONS: ReadonlyMap<string, PreTokenization> = new Map([
  ['gpt-2', GPT2],
  ['smollm', DIGITS_THEN_GPT2],
  ['starcoder', DIGITS_THEN_GPT2],
  ['refact', DIGITS_THEN_GPT2],
  ['llama-bpe', LLAMA3],
  ['llama3', LLAMA3],
  ['llama-v3', LLAMA3],
  ['qwen2', QWEN2],
])

/** ggml's token types that are recognised in text as they stand; the last is no special token. */
const UNKNOWN = 2
const CONTROL = 3
const USER_DEFINED = 4

const unsupported = (what: string, known: readonly string[]) =>
  new FormatError(
    'tokenizer/unsupported',
    `This GGUF file's tokenizer ${what}; supported are ${known.join(', ')}. Use the model's folder with its tokenizer.json instead.`,
  )

const malformed = (message: string, cause?: unknown) =>
  new FormatError(
    'tokenizer/malformed',
    `This GGUF file's tokenizer ${message}; download the file again.`,
    cause === undefined ? undefined : { cause },
  )

function list<T>(
  metadata: GgufMetadata,
  key: string,
  isEntry: (value: GgufValue) => value is GgufValue & T,
): T[] {
  const value = metadata.get(key)
  if (!Array.isArray(value) || !value.every(isEntry))
    throw malformed(`lacks ${key}, or it is not a list as it should be`)
  return value
}

const isString = (value: GgufValue) => typeof value === 'string'
const isNumber = (value: GgufValue) => typeof value === 'number'

function preTokenization(metadata: GgufMetadata): PreTokenization {
  const model = metadata.get('tokenizer.ggml.model')
  if (model === undefined) throw malformed('is missing: it has no tokenizer.ggml.model')
  if (model !== 'gpt2') throw unsupported(`is of type ${showValue(model)}`, ['gpt2 (byte-level BPE)'])
  const name = metadata.get('tokenizer.ggml.pre')
  const known = typeof name === 'string' ? PRE_TOKENIZATIONS.get(name) : undefined
  if (!known) throw unsupported(`splits text as ${showValue(name)}`, [...PRE_TOKENIZATIONS.keys()])
  return known
}

function addedTokens(metadata: GgufMetadata, tokens: readonly string[]): Json[] {
  if (!metadata.has('tokenizer.ggml.token_type')) return []
  const types = list(metadata, 'tokenizer.ggml.token_type', isNumber)
  if (types.length !== tokens.length) {
    throw malformed(`has ${types.length} token types for ${tokens.length} tokens`)
  }
  return types.flatMap((type, id) => {
    if (type !== UNKNOWN && type !== CONTROL && type !== USER_DEFINED) return []
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false }
    return [{ id, content: tokens[id], ...plain, special: type !== USER_DEFINED }]
  })
}

/** "left right", where left may itself begin with a space. */
function mergePair(merge: string): [string, string] {
  const space = merge.indexOf(' ', 1)
  if (space === -1 || space === merge.length - 1)
    throw malformed(`has the merge ${showValue(merge)}, which is no pair`)
  return [merge.slice(0, space), merge.slice(space + 1)]
}

/** The text of the token that a key names by its id; undefined where there is no such key. */
function namedToken(metadata: GgufMetadata, key: string, tokens: readonly string[]): string | undefined {
  const id = metadata.get(`tokenizer.ggml.${key}_token_id`)
  if (id === undefined) return undefined
  const text = typeof id === 'number' ? tokens[id] : undefined
  if (text === undefined)
    throw malformed(`has a ${key}_token_id of ${showValue(id)}, outside its ${tokens.length} tokens`)
  return text
}

/** Everything tokenizer_config.json would say. */
function tokenizerConfig(metadata: GgufMetadata, tokens: readonly string[], addBos: boolean): Json {
  const bos = namedToken(metadata, 'bos', tokens)
  const eos = namedToken(metadata, 'eos', tokens)
  if (eos === undefined) throw malformed('names no eos_token_id')
  const said = metadata.get('tokenizer.ggml.add_bos_token')
  const template = metadata.get('tokenizer.chat_template')
  return {
    bos_token: bos,
    eos_token: eos,
    unk_token: namedToken(metadata, 'unknown', tokens),
    pad_token: namedToken(metadata, 'padding', tokens),
    add_bos_token: typeof said === 'boolean' ? said : addBos && bos !== undefined,
    ...(typeof template === 'string' ? { chat_template: template } : {}),
  }
}

/** The two files of Hugging Face's layout that say the same. */
export interface TokenizerFiles {
  readonly tokenizer: Json
  readonly config: Json
}

/** @throws FormatError `tokenizer/unsupported`, `tokenizer/malformed` */
export function ggufTokenizerFiles(metadata: GgufMetadata): TokenizerFiles {
  const { preTokenizer, normalizer, ignoreMerges, addBos } = preTokenization(metadata)
  const tokens = list(metadata, 'tokenizer.ggml.tokens', isString)
  const merges = list(metadata, 'tokenizer.ggml.merges', isString)
  const ids = new Map(tokens.map((token, id) => [token, id]))
  if (ids.size !== tokens.length) throw malformed('has a token twice')
  const tokenizer = {
    version: '1.0',
    added_tokens: addedTokens(metadata, tokens),
    normalizer,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      unk_token: null,
      ignore_merges: ignoreMerges,
      vocab: Object.fromEntries(ids),
      merges: merges.map(mergePair),
    },
  }
  return { tokenizer, config: tokenizerConfig(metadata, tokens, addBos) }
}

/** @throws FormatError `tokenizer/unsupported`, `tokenizer/malformed` */
export function ggufTokenizer(metadata: GgufMetadata): Tokenizer {
  const { tokenizer, config } = ggufTokenizerFiles(metadata)
  try {
    return createTokenizer(tokenizer, config)
  } catch (error) {
    if (!(error instanceof FormatError) || error.code !== 'tokenizer/malformed') throw error
    if (error.message.startsWith("This GGUF file's")) throw error
    throw malformed('cannot be used', error)
  }
}
