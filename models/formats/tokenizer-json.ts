/**
 * A byte-pair tokenizer in Hugging Face tokenizers' format (tokenizer.json), checked before the library sees it: what
 * every family's tokenizer is made of.
 */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { FormatError } from '../errors.ts'
import { sha256Hex } from '../sha256.ts'

type Json = Record<string, unknown>

/** Largest id believed: the library lays tokens out in an array by id. */
const MAX_TOKEN_ID = 2_000_000

export const malformedTokenizer = (message: string, cause?: unknown) =>
  new FormatError(
    'tokenizer/malformed',
    `tokenizer.json or tokenizer_config.json ${message}; take both from the model's own folder.`,
    { cause },
  )

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTokenId = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKEN_ID

/** One more than the largest id; refuses ids that would make the library allocate what the file claims. */
function checkVocabulary(json: Json): number {
  const model = json.model
  if (!isObject(model)) throw malformedTokenizer('describes no model')
  // Files of older versions leave the type out; byte-pair encoding then shows by its merges.
  if ((model.type ?? (model.merges ? 'BPE' : undefined)) !== 'BPE') {
    throw new FormatError(
      'tokenizer/unsupported',
      `The tokenizer is of type ${JSON.stringify(model.type ?? null)}; only byte-pair encoding (BPE) is supported.`,
    )
  }
  if (!isObject(model.vocab) || !Array.isArray(model.merges))
    throw malformedTokenizer('lacks its vocabulary or merges')
  let largest = -1
  for (const id of Object.values(model.vocab)) {
    if (!isTokenId(id)) throw malformedTokenizer('has a token id out of range')
    largest = Math.max(largest, id)
  }
  const added = json.added_tokens ?? []
  if (!Array.isArray(added)) throw malformedTokenizer('has added_tokens that are not a list')
  for (const token of added) {
    if (!isObject(token) || typeof token.content !== 'string' || !isTokenId(token.id)) {
      throw malformedTokenizer('has an added token without content or id')
    }
    largest = Math.max(largest, token.id)
  }
  if (largest < 0) throw malformedTokenizer('has an empty vocabulary')
  return largest + 1
}

/** llama.cpp's converter fills a vocabulary up to the model's size with these. */
const FILLER = /^\[PAD\d+\]$/

/** Of a vocabulary that was checked. */
function digestOfTokens(json: Json): string {
  const tokens: (string | null)[] = []
  const { vocab } = json.model as { vocab: Record<string, number> }
  for (const [token, id] of Object.entries(vocab)) tokens[id] = token
  for (const { content, id } of (json.added_tokens ?? []) as { content: string; id: number }[]) {
    tokens[id] = content
  }
  // Ids that no token has are null in either layout.
  const named = Array.from(tokens, (token) =>
    token === undefined || FILLER.test(token ?? '') ? null : token,
  )
  while (named.at(-1) === null) named.pop()
  return sha256Hex(new TextEncoder().encode(JSON.stringify(named)))
}

/**
 * The reference splits at every character of Unicode's number categories (², Ⅷ, ١ too), the library's Digits
 * only at decimal ASCII digits: say the same as a Split, which it runs as the reference does.
 */
function splitNumbers(preTokenizer: unknown): unknown {
  if (!isObject(preTokenizer)) return preTokenizer
  if (preTokenizer.type === 'Digits') {
    const pattern = { Regex: preTokenizer.individual_digits === true ? '\\p{N}' : '\\p{N}+' }
    return { type: 'Split', pattern, behavior: 'Isolated', invert: false }
  }
  if (preTokenizer.type === 'Sequence' && Array.isArray(preTokenizer.pretokenizers)) {
    return { ...preTokenizer, pretokenizers: preTokenizer.pretokenizers.map(splitNumbers) }
  }
  return preTokenizer
}

export interface BytePairs {
  readonly inner: HuggingFaceTokenizer
  /** One more than the largest id, added tokens included. */
  readonly vocabularySize: number
  /** SHA-256 over all tokens by id: the same in every file of a model, whatever its layout. */
  readonly vocabularyDigest: string
  /** The text's own tokens, none added. */
  encode(text: string): number[]
}

/**
 * @param json the parsed tokenizer.json
 * @param config the parsed tokenizer_config.json; {} where there is none
 * @throws FormatError `tokenizer/malformed`, `tokenizer/unsupported`
 */
export function openBytePairs(json: unknown, config: unknown): BytePairs {
  if (!isObject(json) || !isObject(config)) throw malformedTokenizer('is not a JSON object')
  const vocabularySize = checkVocabulary(json)
  const vocabularyDigest = digestOfTokens(json)
  let inner: HuggingFaceTokenizer
  try {
    // The library fills in what these optional parts leave out only where they are null.
    const parts = { normalizer: null, post_processor: null, decoder: null, added_tokens: [] }
    const pre_tokenizer = splitNumbers(json.pre_tokenizer ?? null)
    // Clean-up would take spaces before punctuation out of decoded text: it must come back as it went in.
    inner = new HuggingFaceTokenizer(
      { ...parts, ...json, pre_tokenizer },
      { ...config, clean_up_tokenization_spaces: false },
    )
  } catch (error) {
    throw malformedTokenizer(`cannot be used (${(error as Error).message})`, error)
  }
  return {
    inner,
    vocabularySize,
    vocabularyDigest,
    encode(text) {
      const { ids } = inner.encode(text, { add_special_tokens: false })
      // Characters outside the vocabulary have no id where there is no unknown-token: they are dropped.
      return ids.filter((id) => id !== undefined)
    },
  }
}
