import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { createTokenizer } from './tokenizer.ts'

const read = (path: string) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
const tokenizerJson = read('catalog/tiny/tokenizer.json')
const tokenizerConfig = read('catalog/tiny/tokenizer_config.json')
const tiny = createTokenizer(tokenizerJson, tokenizerConfig)

/** ChatML, as SmolLM2 and many others write it. */
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

describe('the tiny tokenizer', () => {
  const cases: { text: string; ids: number[]; decoded: string }[] = read('fixtures/tiny/tokenizer-cases.json')

  it.each(cases.map((c) => [c.text, c] as const))('%j', (text, { ids, decoded }) => {
    expect(tiny.encode(text)).toEqual(ids)
    expect(tiny.decode(ids)).toBe(decoded)
  })

  it('knows its tokens', () => {
    expect(tiny).toMatchObject({
      vocabularySize: 2048,
      eosId: 0,
      bosId: 0,
      addBos: false,
      hasChatTemplate: false,
    })
    expect([0, 1, 2, 3].map((id) => tiny.isSpecial(id))).toEqual([true, true, true, false])
  })

  it('splits every kind of number by itself, as the reference does', () => {
    for (const text of ['½ cup', '2²', 'Ⅷ①', '١٢', '12']) {
      const characters = [...text].filter((character) => /\p{N}/u.test(character))
      const apart = text.split(/(\p{N})/u).filter((part) => part !== '')
      expect(characters.length).toBeGreaterThan(0)
      expect(tiny.encode(text)).toEqual(apart.flatMap((part) => tiny.encode(part)))
    }
  })

  it('leaves special tokens out of a decoded text where asked', () => {
    const ids = tiny.encode('<|im_start|>user\nhi<|im_end|>\n')
    expect(tiny.decode(ids, { skipSpecial: true })).toBe('user\nhi\n')
    expect(tiny.decode([0], { skipSpecial: true })).toBe('')
    expect(tiny.decode([])).toBe('')
  })

  it('keeps spaces before punctuation, whatever the configuration says', () => {
    const cleaning = createTokenizer(tokenizerJson, {
      ...tokenizerConfig,
      clean_up_tokenization_spaces: true,
    })
    expect(cleaning.decode(cleaning.encode("he said , I 'm"))).toBe("he said , I 'm")
  })

  it('gives back a whole book page by page', () => {
    const text = readFileSync(new URL('../fixtures/tiny/baum-3k.txt', import.meta.url), 'utf8')
    expect(tiny.decode(tiny.encode(text))).toBe(text)
  })

  it('has no chat template to render with', () => {
    expect(() => tiny.renderChat([], true)).toThrow(
      expect.objectContaining({ code: 'tokenizer/no-chat-template' }),
    )
  })
})

describe('the nano tokenizer', () => {
  it('takes the end token from the configuration of the model and drops unknown characters', () => {
    const nano = createTokenizer(read('fixtures/nano/tokenizer.json'), {}, { bosId: 1, eosId: 2 })
    expect(nano).toMatchObject({ vocabularySize: 97, bosId: 1, eosId: 2, addBos: false })
    expect(nano.decode(nano.encode('the 日 sea'))).toBe('the  sea')
  })

  it('needs an end token', () => {
    expect(() => createTokenizer(read('fixtures/nano/tokenizer.json'), {})).toThrow(/names no eos_token/)
  })
})

describe('beginning tokens', () => {
  it('come from add_bos_token', () => {
    expect(createTokenizer(tokenizerJson, { ...tokenizerConfig, add_bos_token: true }).addBos).toBe(true)
    expect(() => createTokenizer(tokenizerJson, { eos_token: '<|endoftext|>', add_bos_token: true })).toThrow(
      /no bos_token/,
    )
  })

  it('come from the post-processor where the configuration is silent, and are not added by encode', () => {
    const template = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|im_start|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<|im_start|>': { id: '<|im_start|>', ids: [1], tokens: ['<|im_start|>'] } },
    }
    const tokenizer = createTokenizer(
      { ...tokenizerJson, post_processor: template },
      { bos_token: { content: '<|im_start|>' }, eos_token: '<|im_end|>' },
    )
    expect(tokenizer).toMatchObject({ addBos: true, bosId: 1, eosId: 2 })
    expect(tokenizer.encode('Hello, world!')).toEqual(tiny.encode('Hello, world!'))
  })
})

describe('chat templates', () => {
  const messages = [
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: 'Hi' },
  ]
  const rendered = '<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n'

  it('are rendered, with and without the generation prompt', () => {
    const tokenizer = createTokenizer(tokenizerJson, { ...tokenizerConfig, chat_template: CHATML })
    expect(tokenizer.hasChatTemplate).toBe(true)
    expect(tokenizer.renderChat(messages, false)).toBe(rendered)
    expect(tokenizer.renderChat(messages.slice(0, 1), true)).toBe(rendered.replace('Hi<|im_end|>\n', ''))
  })

  it('may be a list with a default', () => {
    const list = [
      { name: 'tool_use', template: 'x' },
      { name: 'default', template: CHATML },
    ]
    const tokenizer = createTokenizer(tokenizerJson, { ...tokenizerConfig, chat_template: list })
    expect(tokenizer.renderChat(messages, false)).toBe(rendered)
  })

  it('see the special tokens and may refuse', () => {
    const template =
      "{{ bos_token }}{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}"
    const tokenizer = createTokenizer(tokenizerJson, { ...tokenizerConfig, chat_template: template })
    expect(tokenizer.renderChat(messages, false)).toBe('<|endoftext|>')
    expect(() => tokenizer.renderChat(messages.slice(1), false)).toThrow(/user first/)
    expect(() => tokenizer.renderChat(messages.slice(1), false)).toThrow(
      expect.objectContaining({ code: 'tokenizer/chat-template' }),
    )
  })

  it('that are not Jinja are refused', () => {
    expect(() => createTokenizer(tokenizerJson, { ...tokenizerConfig, chat_template: '{% if %}' })).toThrow(
      FormatError,
    )
  })
})

describe('broken tokenizers', () => {
  const model = (over: object) => ({ ...tokenizerJson, model: { ...tokenizerJson.model, ...over } })

  it.each([
    ['null', null],
    ['a list', []],
    ['no model', { ...tokenizerJson, model: undefined }],
    ['an id that would need gigabytes', model({ vocab: { a: 4e9 } })],
    ['a negative id', model({ vocab: { a: -1 } })],
    ['a fractional id', model({ vocab: { a: 0.5 } })],
    ['an empty vocabulary', { ...model({ vocab: {} }), added_tokens: [] }],
    ['no merges', model({ merges: undefined })],
    ['an added token without content', { ...tokenizerJson, added_tokens: [{ id: 1 }] }],
    ['an added token far out', { ...tokenizerJson, added_tokens: [{ id: 1e9, content: 'x' }] }],
    ['an unknown pre-tokenizer', { ...tokenizerJson, pre_tokenizer: { type: 'Nonsense' } }],
  ])('%s', (_, json) => {
    expect(() => createTokenizer(json, tokenizerConfig)).toThrow(
      expect.objectContaining({ code: 'tokenizer/malformed' }),
    )
  })

  it('of another kind are refused by name', () => {
    expect(() => createTokenizer(model({ type: 'Unigram' }), tokenizerConfig)).toThrow(/Unigram/)
  })

  it('with an end token outside the vocabulary are refused', () => {
    expect(() => createTokenizer(tokenizerJson, { eos_token: '</s>' })).toThrow(/eos_token outside/)
  })
})
