import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Document, readDocuments } from './documents.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'
import { cutWindows, type TextExample, windows } from './windows.ts'

const url = (path: string) => new URL(`../${path}`, import.meta.url)
const json = (path: string) => JSON.parse(readFileSync(url(path), 'utf8'))
const tokenizerJson = json('catalog/tiny/tokenizer.json')
const tokenizerConfig = json('catalog/tiny/tokenizer_config.json')
const tiny = createTokenizer(tokenizerJson, tokenizerConfig)
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
const withChat = (template: string) =>
  createTokenizer(tokenizerJson, { ...tokenizerConfig, chat_template: template })
const withBos = createTokenizer(tokenizerJson, {
  ...tokenizerConfig,
  bos_token: '<|im_start|>',
  add_bos_token: true,
})

const text = (content: string, row = false): Document => ({ kind: 'text', text: content, row })
const countedIds = ({ ids, counts }: TextExample) =>
  Array.from(ids.subarray(1)).filter((_, i) => counts[i] === 1)

describe('against the reference', () => {
  const expected: Record<string, { tokens: number }> = json('fixtures/tiny/eval.json')

  it.each(Object.entries(expected))('%s counts the same tokens', (file, { tokens }) => {
    const { documents, skipped } = readDocuments(
      file,
      new Uint8Array(readFileSync(url(`fixtures/tiny/${file}`))),
    )
    expect(skipped).toEqual([])
    const examples = windows(documents, tiny, 256)
    expect(examples.reduce((sum, { counted }) => sum + counted, 0)).toBe(tokens)
    for (const { ids, counts, counted } of examples) {
      expect(ids.length).toBeLessThanOrEqual(257)
      expect(counts).toHaveLength(ids.length - 1)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(counted)
    }
  })
})

describe('whole texts', () => {
  it('predict every token after the first exactly once, whatever the length', () => {
    const words = fc.array(fc.constantFrom('sea', ' the', 'Oz', '7', '. ', '\n', 'é'), {
      minLength: 2,
      maxLength: 80,
    })
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 40 }), (parts, length) => {
        const content = parts.join('')
        const ids = tiny.encode(content)
        fc.pre(ids.length >= 2)
        const examples = windows([text(content)], tiny, length)
        expect(examples.flatMap(countedIds)).toEqual(ids.slice(1))
        examples.forEach((window, i) => {
          expect(window.ids[0]).toBe(ids[i * length])
          if (i < examples.length - 1) expect(window.ids).toHaveLength(length + 1)
        })
      }),
    )
  })

  it('begin with BOS where the tokenizer says so', () => {
    const [window] = windows([text('Hello, world!')], withBos, 256)
    expect(Array.from(window.ids)).toEqual([1, ...tiny.encode('Hello, world!')])
    expect(window.counted).toBe(6)
  })
})

describe('rows', () => {
  it('of text are one truncated window', () => {
    const content = 'the sea '.repeat(40)
    const examples = windows([text(content, true)], tiny, 16)
    expect(examples).toHaveLength(1)
    expect(Array.from(examples[0].ids)).toEqual(tiny.encode(content).slice(0, 17))
    expect(examples[0].counted).toBe(16)
  })

  it('of prompt and completion count the completion and the end of text', () => {
    const [window] = windows(
      [{ kind: 'completion', prompt: 'Two and two', completion: ' is four.' }],
      tiny,
      256,
    )
    const prompt = tiny.encode('Two and two')
    const completion = tiny.encode(' is four.')
    expect(Array.from(window.ids)).toEqual([...prompt, ...completion, 0])
    expect(countedIds(window)).toEqual([...completion, 0])
  })

  it('without a prompt cannot predict the first token, unless there is BOS', () => {
    const document: Document = { kind: 'completion', prompt: '', completion: 'Hello' }
    const ids = [...tiny.encode('Hello'), 0]
    expect(countedIds(windows([document], tiny, 256)[0])).toEqual(ids.slice(1))
    expect(countedIds(windows([document], withBos, 256)[0])).toEqual(ids)
  })

  it('truncated inside the completion have no end of text', () => {
    const document: Document = { kind: 'completion', prompt: 'a b c', completion: 'the sea '.repeat(30) }
    const [window] = windows([document], tiny, 10)
    const prompt = tiny.encode('a b c')
    expect(window.ids).toHaveLength(11)
    expect(window.counted).toBe(11 - prompt.length)
    expect(Array.from(window.ids)).not.toContain(0)
  })

  it('whose prompt fills the window are named', () => {
    const long: Document = { kind: 'completion', prompt: 'the sea '.repeat(30), completion: 'x' }
    const { examples, skipped } = cutWindows([text('Hello, world!'), long], tiny, 10)
    expect(examples).toHaveLength(1)
    expect(skipped).toEqual([{ line: 2, reason: 'its prompt alone fills the 10 tokens of a window' }])
  })
})

describe('conversations', () => {
  const messages = [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: 'Hi' },
    { role: 'user', content: 'Bye' },
    { role: 'assistant', content: 'Farewell' },
  ]

  it('count each answer and its end of turn, not the line break after it', () => {
    const tokenizer = withChat(CHATML)
    const [window] = windows([{ kind: 'chat', messages }], tokenizer, 256)
    expect(tokenizer.decode([...window.ids])).toBe(tokenizer.renderChat(messages, false))
    expect(countedIds(window)).toEqual([...tiny.encode('Hi'), 2, ...tiny.encode('Farewell'), 2])
  })

  it('are what prompt and completion become under a template', () => {
    const tokenizer = withChat(CHATML)
    const [pair] = windows([{ kind: 'completion', prompt: 'Hello', completion: 'Hi' }], tokenizer, 256)
    const [chat] = windows([{ kind: 'chat', messages: messages.slice(1, 3) }], tokenizer, 256)
    expect(pair).toEqual(chat)
  })

  it('without a template are joined by lines, each answer with the end of text', () => {
    const [window] = windows([{ kind: 'chat', messages: messages.slice(1) }], tiny, 256)
    expect(tiny.decode([...window.ids])).toBe('Hello\nHi<|endoftext|>Bye\nFarewell<|endoftext|>')
    expect(countedIds(window)).toEqual([...tiny.encode('Hi'), 0, ...tiny.encode('Farewell'), 0])
  })

  it('that a template refuses are named', () => {
    const strict = withChat(
      `{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}${CHATML}`,
    )
    const chats: Document[] = [
      { kind: 'chat', messages: messages.slice(1) },
      { kind: 'chat', messages },
    ]
    const { examples, skipped } = cutWindows(chats, strict, 256)
    expect(examples).toHaveLength(1)
    expect(skipped).toEqual([
      { line: 2, reason: expect.stringMatching(/refuses this conversation: no system role/) },
    ])
  })

  it('that a template rewrites are named', () => {
    const rewriting = withChat(
      '{% if add_generation_prompt %}ask{% else %}told{% endif %}{{ messages | length }}',
    )
    const { skipped } = cutWindows([text('Hello, world!'), { kind: 'chat', messages }], rewriting, 256)
    expect(skipped).toEqual([
      { line: 2, reason: "the model's chat template does not render this conversation turn by turn" },
    ])
  })
})

describe('too little text', () => {
  it.each<[string, Document[], Tokenizer]>([
    ['nothing', [], tiny],
    ['one token', [text('a')], tiny],
  ])('%s', (_, documents, tokenizer) => {
    expect(() => windows(documents, tokenizer, 256)).toThrow(
      expect.objectContaining({ code: 'data/too-short' }),
    )
  })
})
