/**
 * GGUF files as llama.cpp's converter writes them against the same models in Hugging Face's layout: configuration,
 * weights, tokenizer.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { wholeFile } from '../formats/byte-source.ts'
import { readGgufHeader } from '../formats/gguf.ts'
import type { GgufHeader, GgufTensor, GgufValue } from '../formats/gguf-header.ts'
import { parseSafetensors } from '../formats/safetensors.ts'
import { fixtureBytes, fixtureJson, fixtureTensors } from '../testing/fixtures.ts'
import { createTokenizer } from '../text/tokenizer.ts'
import { LLAMA_LIMITS, parseLlamaConfig } from './config.ts'
import { readGgufLlama } from './gguf-model.ts'
import { huggingFaceName, unpermuteRows } from './gguf-tensors.ts'

const bytesOf = (name: string) => fixtureBytes(`gguf/${name}.gguf`)
const header = (name: string) => readGgufHeader(wholeFile(bytesOf(name)))
const nano = await header('nano')
const untied = await header('nano-untied')

const withMetadata = (header: GgufHeader, changes: Record<string, GgufValue | undefined>): GgufHeader => {
  const metadata = new Map(header.metadata)
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key)
    else metadata.set(key, value)
  }
  return { ...header, metadata }
}

const withTensor = (header: GgufHeader, name: string, change: Partial<GgufTensor>): GgufHeader => ({
  ...header,
  tensors: header.tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor)),
})

const code = (expected: string, message = /./) =>
  expect.objectContaining({ name: 'FormatError', code: expected, message: expect.stringMatching(message) })

describe.each(['nano', 'nano-mixed', 'nano-untied'])('%s', (name) => {
  const folder = name === 'nano-untied' ? 'nano-untied' : 'nano'

  it('has the configuration of the same model in the other layout', async () => {
    const { config } = readGgufLlama(await header(name))
    const expected = parseLlamaConfig(fixtureJson(`${folder}/config.json`))
    expect(config).toEqual({ ...expected, rmsNormEps: Math.fround(expected.rmsNormEps) })
  })

  it('has its weights, rows of q and k in their own order', async () => {
    const { tensors } = readGgufLlama(await header(name))
    const expected = fixtureTensors(`gguf/${name}.safetensors`)
    const names = [...parseSafetensors(fixtureBytes(`gguf/${name}.safetensors`)).tensors.keys()]
    expect([...tensors.keys()].sort()).toEqual(names.sort())
    const file = bytesOf(name)
    for (const [key, tensor] of tensors) {
      const raw = file.subarray(tensor.begin, tensor.begin + tensor.bytes)
      // Mixed types are F32, F16, Q8_0 and Q4_0: none of them rounds.
      expect(tensor.decode(raw), key).toEqual(expected(key))
      expect(tensor.pack(raw).length).toBe(raw.length)
    }
  })

  it('has its tokenizer', async () => {
    const { tokenizer, config } = readGgufLlama(await header(name))
    const expected = createTokenizer(fixtureJson(`${folder}/tokenizer.json`), {}, config)
    expect(tokenizer.vocabularySize).toBe(expected.vocabularySize)
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.addBos]).toEqual([1, 2, false])
    expect(tokenizer.vocabularyDigest).toBe(expected.vocabularyDigest)
    for (const text of [
      '',
      'hello there, the sea is 42!',
      '<|im_start|>user\nhe<|im_end|>',
      'a  b\n\nc',
      '日本',
    ]) {
      const ids = expected.encode(text)
      expect(tokenizer.encode(text)).toEqual(ids)
      expect(tokenizer.decode(ids)).toBe(expected.decode(ids))
      expect(ids.map((id) => tokenizer.isSpecial(id))).toEqual(ids.map((id) => expected.isSpecial(id)))
    }
  })
})

describe('rows of q and k', () => {
  it('go back to where the converter took them from', () => {
    // As llama.cpp's converter: [heads, 2, headDim / 2] to [heads, headDim / 2, 2].
    fc.assert(
      fc.property(fc.nat(3), fc.nat(4), fc.nat(5), (h, d, w) => {
        const [heads, half, rowBytes] = [h + 1, d + 1, w + 1]
        const original = Uint8Array.from({ length: heads * 2 * half * rowBytes }, (_, i) => i % 251)
        const permuted = new Uint8Array(original.length)
        for (let head = 0; head < heads; head++)
          for (let part = 0; part < 2; part++)
            for (let i = 0; i < half; i++) {
              const from = ((head * 2 + part) * half + i) * rowBytes
              permuted.set(
                original.subarray(from, from + rowBytes),
                ((head * half + i) * 2 + part) * rowBytes,
              )
            }
        expect(unpermuteRows(permuted, heads, 2 * half)).toEqual(original)
      }),
    )
  })

  it('are found by name, and other names are not made up', () => {
    expect(huggingFaceName('blk.17.attn_k.bias')).toBe('model.layers.17.self_attn.k_proj.bias')
    expect(huggingFaceName('output.weight')).toBe('lm_head.weight')
    const others = [
      'blk.0.attn_norm.bias',
      'blk.01.attn_q.weight',
      'blk.0.constructor.weight',
      'constructor',
      '',
    ]
    for (const name of others) expect(huggingFaceName(name), name).toBeUndefined()
  })
})

describe('files that are refused', () => {
  it.each<[string, Record<string, GgufValue | undefined>, string, RegExp]>([
    ['another architecture', { 'general.architecture': 'phi3' }, 'config/unsupported', /"phi3".*llama/],
    ['no architecture', { 'general.architecture': undefined }, 'config/malformed', /general\.architecture/],
    ['an adapter', { 'general.type': 'adapter' }, 'config/unsupported', /adapter/],
    ['one part of several', { 'split.count': 3 }, 'config/unsupported', /gguf-split/],
    ['scaled positions', { 'llama.rope.scaling.type': 'yarn' }, 'config/unsupported', /yarn/],
    ['linear scaling', { 'llama.rope.scale_linear': 4 }, 'config/unsupported', /by 4/],
    ['partial rotation', { 'llama.rope.dimension_count': 4 }, 'config/unsupported', /4 of each head's 8/],
    ['other value heads', { 'llama.attention.value_length': 16 }, 'config/unsupported', /values of 16/],
    ['experts', { 'llama.expert_count': 8 }, 'config/unsupported', /8 experts/],
    ['both directions', { 'llama.attention.causal': false }, 'config/unsupported', /causal/],
    ['layers that differ', { 'llama.attention.head_count_kv': [1, 2] }, 'config/unsupported', /differ/],
    [
      'heads that do not divide',
      { 'llama.attention.head_count_kv': 3 },
      'config/malformed',
      /4 attention heads/,
    ],
    ['odd heads', { 'llama.attention.key_length': 7 }, 'config/malformed', /heads of 7/],
    ['no layers', { 'llama.block_count': undefined }, 'config/malformed', /block_count.*nothing/],
    ['too many layers', { 'llama.block_count': 100_000 }, 'config/malformed', /block_count/],
    ['a width that is no number', { 'llama.embedding_length': '32' }, 'config/malformed', /embedding_length/],
    ['a huge number', { 'llama.context_length': 2n ** 60n }, 'config/malformed', /1152921504606846976/],
    ['no epsilon', { 'llama.attention.layer_norm_rms_epsilon': undefined }, 'config/malformed', /epsilon/],
    ['an end token outside', { 'tokenizer.ggml.eos_token_id': 97 }, 'config/malformed', /0 to 96/],
    ['no end token', { 'tokenizer.ggml.eos_token_id': undefined }, 'tokenizer/malformed', /eos_token_id/],
    ['SentencePiece', { 'tokenizer.ggml.model': 'llama' }, 'tokenizer/unsupported', /"llama".*byte-level/],
    ['no tokenizer', { 'tokenizer.ggml.model': undefined }, 'tokenizer/malformed', /missing/],
    ['an unknown split', { 'tokenizer.ggml.pre': 'tekken' }, 'tokenizer/unsupported', /"tekken".*smollm/],
    ['no split', { 'tokenizer.ggml.pre': undefined }, 'tokenizer/unsupported', /nothing/],
    ['no merges', { 'tokenizer.ggml.merges': undefined }, 'tokenizer/malformed', /merges/],
    ['a merge of one', { 'tokenizer.ggml.merges': ['he'] }, 'tokenizer/malformed', /"he"/],
    [
      'types of other tokens',
      { 'tokenizer.ggml.token_type': [1, 1] },
      'tokenizer/malformed',
      /2 token types/,
    ],
    ['a template that is not Jinja', { 'tokenizer.chat_template': '{% if' }, 'tokenizer/malformed', /used/],
  ])('%s', (_, changes, expected, message) => {
    expect(() => readGgufLlama(withMetadata(nano, changes))).toThrow(code(expected, message))
  })

  it('a token twice', () => {
    const tokens = [...(nano.metadata.get('tokenizer.ggml.tokens') as string[])]
    tokens[5] = tokens[4]
    const file = withMetadata(nano, { 'tokenizer.ggml.tokens': tokens })
    expect(() => readGgufLlama(file)).toThrow(code('tokenizer/malformed', /twice/))
  })

  it('tensors a plain Llama does not have, and types that cannot be read', () => {
    const other = withTensor(nano, 'blk.0.attn_norm.weight', { name: 'blk.0.attn_norm_2.weight' })
    expect(() => readGgufLlama(other)).toThrow(code('model/unsupported-tensor', /attn_norm_2/))
    const packed = withTensor(nano, 'blk.0.ffn_up.weight', { type: 'IQ4_NL' })
    expect(() => readGgufLlama(packed)).toThrow(code('gguf/type', /ffn_up.*IQ4_NL/))
  })

  it('rows of q and k that are not their heads, or no whole bytes', () => {
    const wrong = withTensor(nano, 'blk.1.attn_k.weight', { shape: [17, 32] })
    expect(() => readGgufLlama(wrong)).toThrow(code('model/wrong-shape', /k_proj.*\[17,32\].*2 heads of 8/))
    const quantised = withTensor(untied, 'blk.0.attn_q.bias', { type: 'Q8_0', bytes: 34 })
    expect(() => readGgufLlama(quantised)).toThrow(code('model/wrong-shape', /q_proj\.bias/))
  })
})

describe('what a file may leave out', () => {
  it('has the defaults of llama.cpp', () => {
    const bare = withMetadata(untied, {
      'general.type': 'model',
      'llama.rope.freq_base': undefined,
      'llama.attention.head_count_kv': undefined,
      'llama.vocab_size': undefined,
      'llama.attention.value_length': undefined,
      'llama.rope.dimension_count': undefined,
    })
    const { config } = readGgufLlama(bare)
    expect(config).toMatchObject({ ropeTheta: 10_000, kvHeads: 3, vocabularySize: 97, headDim: 12 })
    const { config: nanoConfig } = readGgufLlama(
      withMetadata(nano, { 'llama.attention.key_length': undefined }),
    )
    expect(nanoConfig.headDim).toBe(8)
  })

  it('ends an answer at every end token it names', () => {
    const { config } = readGgufLlama(
      withMetadata(nano, { 'tokenizer.ggml.eot_token_id': 7, 'tokenizer.ggml.eom_token_id': 2 }),
    )
    expect(config).toMatchObject({ eosId: 2, eosIds: [2, 7] })
  })
})

describe('tokenizers', () => {
  /** Every byte is a token, and a few pieces: enough to see where text is split. */
  const metadata = (pre: string, pieces: string[]) => {
    const bytes = byteCharacters()
    const tokens = ['<|begin|>', '<|end|>', ...bytes, ...pieces]
    return withMetadata(nano, {
      'tokenizer.ggml.pre': pre,
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.token_type': tokens.map((_, id) => (id < 2 ? 3 : 1)),
      'tokenizer.ggml.merges': pieces.map((piece) => `${piece.slice(0, -1)} ${piece.slice(-1)}`),
      'tokenizer.ggml.bos_token_id': 0,
      'tokenizer.ggml.eos_token_id': 1,
      'tokenizer.ggml.add_bos_token': undefined,
      'llama.vocab_size': tokens.length,
    })
  }
  const pieces = (pre: string, merged: string[], text: string) => {
    const { tokenizer } = readGgufLlama(metadata(pre, merged))
    return tokenizer.encode(text).map((id) => tokenizer.decode([id]))
  }

  it('split digits as each model does', () => {
    const merged = ['12', '123', '1234']
    expect(pieces('gpt-2', merged, '12345')).toEqual(['1234', '5'])
    expect(pieces('llama-bpe', merged, '12345')).toEqual(['123', '4', '5'])
    expect(pieces('qwen2', merged, '12345')).toEqual(['1', '2', '3', '4', '5'])
    for (const pre of ['smollm', 'starcoder', 'refact']) {
      expect(pieces(pre, merged, '12345')).toEqual(['1', '2', '3', '4', '5'])
    }
  })

  it('split words, contractions and line ends as each model does', () => {
    const merged = ['Ġa', '(a', "'S", '.Ċ']
    expect(pieces('gpt-2', merged, " a(a'S.\n")).toEqual([' a', '(', 'a', "'", 'S', '.', '\n'])
    expect(pieces('llama-bpe', merged, " a(a'S.\n")).toEqual([' a', '(a', "'S", '.\n'])
    expect(pieces('qwen2', merged, " a(a'S.\n")).toEqual([' a', '(a', "'S", '.\n'])
  })

  it('normalise and begin as each model does', () => {
    const composed = pieces('qwen2', [], 'e\u0301')
    expect(composed).toHaveLength(2)
    expect(pieces('llama-bpe', [], 'e\u0301')).toHaveLength(3)
    expect(readGgufLlama(metadata('llama-bpe', [])).tokenizer).toMatchObject({ addBos: true, bosId: 0 })
    expect(readGgufLlama(metadata('qwen2', [])).tokenizer.addBos).toBe(false)
  })

  it('take a whole piece that is a token before its merges, where the model does', () => {
    const whole = (pre: string) => {
      const file = metadata(pre, ['abc', 'bc'])
      const { tokenizer } = readGgufLlama(withMetadata(file, { 'tokenizer.ggml.merges': ['b c'] }))
      return tokenizer.encode('abc').length
    }
    expect(whole('llama-bpe')).toBe(1)
    expect(whole('qwen2')).toBe(2)
  })

  it('know which tokens are special and which are only never split', () => {
    const file = metadata('smollm', ['ab'])
    const types = Array.from(file.metadata.get('tokenizer.ggml.token_type') as number[])
    types[types.length - 1] = 4
    const { tokenizer } = readGgufLlama(withMetadata(file, { 'tokenizer.ggml.token_type': types }))
    expect(tokenizer.encode('<|end|>')).toEqual([1])
    expect([0, 1, types.length - 1].map((id) => tokenizer.isSpecial(id))).toEqual([true, true, false])
  })
})

describe('the digest of a vocabulary', () => {
  const digest = (change: Record<string, GgufValue>) =>
    readGgufLlama(withMetadata(nano, change)).tokenizer.vocabularyDigest
  const tokens = nano.metadata.get('tokenizer.ggml.tokens') as string[]

  it('is another for other tokens, and the same without what only fills up', () => {
    const own = digest({})
    const filled = [...tokens, '[PAD97]', '[PAD98]']
    const types = filled.map((_, id) => (id < 3 ? 3 : id < 97 ? 1 : 5))
    const added = { 'tokenizer.ggml.tokens': filled, 'tokenizer.ggml.token_type': types }
    expect(digest({ ...added, 'llama.vocab_size': 99 })).toBe(own)
    const renamed = tokens.with(50, 'other')
    expect(digest({ 'tokenizer.ggml.tokens': renamed, 'tokenizer.ggml.merges': [] })).not.toBe(own)
  })
})

describe('mutated metadata', () => {
  const keys = [...nano.metadata.keys()]
  const scalar: fc.Arbitrary<GgufValue> = fc.oneof(
    fc.integer({ min: -2, max: 130 }),
    fc.double(),
    fc.constantFrom(2 ** 31, 2 ** 40, 2n ** 63n, true, false, '', 'llama', 'gpt2', '__proto__'),
    fc.string({ maxLength: 8 }),
  )
  const value: fc.Arbitrary<GgufValue> = fc.oneof(scalar, fc.array(scalar, { maxLength: 6 }))

  it('is refused with a FormatError, or gives a model inside the limits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...keys), fc.option(value, { nil: undefined })), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.nat(96),
        value,
        (changes, at, entry) => {
          const file = withMetadata(nano, Object.fromEntries(changes))
          const tokens = file.metadata.get('tokenizer.ggml.tokens')
          const changed = Array.isArray(tokens) && tokens.length > at ? [...tokens] : undefined
          if (changed) changed[at] = entry
          try {
            const { config, tokenizer } = readGgufLlama(
              changed ? withMetadata(file, { 'tokenizer.ggml.tokens': changed }) : file,
            )
            expect(config.layers).toBeLessThanOrEqual(LLAMA_LIMITS.layers)
            expect(config.heads % config.kvHeads).toBe(0)
            expect(tokenizer.decode(tokenizer.encode('the sea, 12'))).toBeTypeOf('string')
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError)
          }
        },
      ),
      { numRuns: 400 },
    )
  })
})

/** GPT-2's printable stand-ins for the 256 bytes. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++))
}
