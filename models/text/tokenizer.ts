/**
 * Text to token ids and back, from a model's own tokenizer.json (Hugging Face tokenizers' format), and its
 * chat template where it has one.
 */
import { Template } from '@huggingface/jinja'
import { FormatError } from '../errors.ts'
import { type BytePairs, malformedTokenizer as malformed, openBytePairs } from '../formats/tokenizer-json.ts'

export interface ChatMessage {
  readonly role: string
  readonly content: string
}

export interface Tokenizer {
  /** One more than the largest id, added tokens included. */
  readonly vocabularySize: number
  readonly bosId: number | undefined
  readonly eosId: number
  /** True: a document begins with `bosId`, which `encode` does not add. */
  readonly addBos: boolean
  readonly hasChatTemplate: boolean
  /** SHA-256 over all tokens by id: the same in every file of a model, whatever its layout. */
  readonly vocabularyDigest: string
  /** The text's own tokens; special tokens written out in it are recognised, none is added. */
  encode(text: string): number[]
  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string
  isSpecial(id: number): boolean
  /**
   * The conversation as the model was trained to see it.
   * @throws FormatError `tokenizer/no-chat-template`, `tokenizer/chat-template` when the template refuses it.
   */
  renderChat(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string
}

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A special token is written as its text, or as an object that holds it. */
function specialText(config: Json, key: string): string | undefined {
  const value = config[key]
  const text = isObject(value) ? value.content : value
  return typeof text === 'string' ? text : undefined
}

function chatTemplateText(config: Json): string | undefined {
  const template = config.chat_template
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return undefined
  const named = template.find((entry) => isObject(entry) && entry.name === 'default')
  return typeof named?.template === 'string' ? named.template : undefined
}

class LlamaTokenizer implements Tokenizer {
  readonly vocabularySize: number
  readonly bosId: number | undefined
  readonly eosId: number
  readonly addBos: boolean
  readonly hasChatTemplate: boolean
  readonly vocabularyDigest: string
  readonly #pairs: BytePairs
  readonly #inner: BytePairs['inner']
  readonly #special: ReadonlySet<number>
  readonly #template: Template | undefined
  /** Names a template may use for the special tokens: bos_token, eos_token and the like. */
  readonly #templateTokens: Readonly<Record<string, string>>

  constructor(json: Json, config: Json, ids: SpecialTokenIds) {
    this.#pairs = openBytePairs(json, config)
    this.vocabularySize = this.#pairs.vocabularySize
    this.vocabularyDigest = this.#pairs.vocabularyDigest
    this.#inner = this.#pairs.inner
    this.#special = new Set(
      [...this.#inner.get_added_tokens_decoder()].filter(([, token]) => token.special).map(([id]) => id),
    )
    const eosId = this.#specialId(config, 'eos_token') ?? ids.eosId
    if (eosId === undefined || eosId === null) throw malformed('names no eos_token')
    this.eosId = eosId
    this.bosId = this.#specialId(config, 'bos_token') ?? ids.bosId ?? undefined
    this.addBos =
      typeof config.add_bos_token === 'boolean' ? config.add_bos_token : this.#postProcessorAddsBos()
    if (this.addBos && this.bosId === undefined) throw malformed('says add_bos_token and names no bos_token')

    const template = chatTemplateText(config)
    this.hasChatTemplate = template !== undefined
    this.#templateTokens = Object.fromEntries(
      ['bos_token', 'eos_token', 'unk_token', 'pad_token'].flatMap((key) => {
        const text = specialText(config, key)
        return text === undefined ? [] : [[key, text]]
      }),
    )
    try {
      this.#template = template === undefined ? undefined : new Template(template)
    } catch (error) {
      throw malformed(`has a chat template that is not Jinja (${(error as Error).message})`, error)
    }
  }

  encode(text: string): number[] {
    return this.#pairs.encode(text)
  }

  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string {
    const kept = options?.skipSpecial ? ids.filter((id) => !this.#special.has(id)) : [...ids]
    return kept.length === 0 ? '' : this.#inner.decode(kept, { skip_special_tokens: false })
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id)
  }

  renderChat(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
    if (!this.#template) {
      throw new FormatError(
        'tokenizer/no-chat-template',
        'This model has no chat template; give it plain text, or prompt and completion.',
      )
    }
    try {
      return this.#template.render({
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
        ...this.#templateTokens,
      })
    } catch (error) {
      throw new FormatError(
        'tokenizer/chat-template',
        `The model's chat template refuses this conversation: ${(error as Error).message}`,
        { cause: error },
      )
    }
  }

  #specialId(config: Json, key: string): number | undefined {
    const text = specialText(config, key)
    if (text === undefined) return undefined
    const id = this.#inner.token_to_id(text)
    if (id === undefined) throw malformed(`has a ${key} outside its vocabulary`)
    return id
  }

  #postProcessorAddsBos(): boolean {
    if (this.bosId === undefined) return false
    return this.#inner.encode('', { add_special_tokens: true }).ids[0] === this.bosId
  }
}

/** What config.json says of the special tokens, for folders without a tokenizer_config.json. */
export interface SpecialTokenIds {
  readonly bosId?: number | null
  readonly eosId?: number | null
}

/**
 * @param tokenizerJson the parsed tokenizer.json
 * @param tokenizerConfig the parsed tokenizer_config.json; {} where there is none
 * @param ids used where tokenizer_config.json names no such token; a LlamaConfig fits
 * @throws FormatError `tokenizer/malformed`, `tokenizer/unsupported`
 */
export function createTokenizer(
  tokenizerJson: unknown,
  tokenizerConfig: unknown,
  ids: SpecialTokenIds = {},
): Tokenizer {
  if (!isObject(tokenizerJson)) throw malformed('is not a JSON object')
  if (!isObject(tokenizerConfig)) throw malformed('is not a JSON object')
  return new LlamaTokenizer(tokenizerJson, tokenizerConfig, ids)
}
