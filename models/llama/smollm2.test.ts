/** SmolLM2's tokenizer and chat template, built from its GGUF file alone, against the reference's cases. */
import { beforeAll, expect, it } from 'vitest'
import { readGgufHeader } from '../formats/gguf.ts'
import { fixtureJson } from '../testing/fixtures.ts'
import { withSmolLm2 } from '../testing/smollm2.ts'
import type { ChatMessage } from '../text/tokenizer.ts'
import { type GgufLlama, readGgufLlama } from './gguf-model.ts'

interface EncodeCase {
  readonly text: string
  readonly ids: number[]
  readonly decoded: string
  readonly decoded_skip_special: string
}

interface ChatCase {
  readonly messages: ChatMessage[]
  readonly add_generation_prompt: boolean
  readonly text: string
  readonly ids: number[]
}

withSmolLm2('SmolLM2-135M-Instruct in Q4_1', (source) => {
  let llama: GgufLlama
  beforeAll(async () => {
    llama = readGgufLlama(await readGgufHeader(source))
  })

  it('is the model that the references are of', () => {
    expect(source.bytes).toBe(98_362_432)
    expect(llama.config).toMatchObject({
      layers: 30,
      hiddenSize: 576,
      heads: 9,
      kvHeads: 3,
      headDim: 64,
      vocabularySize: 49_152,
      ropeTheta: 100_000,
      tiedEmbeddings: true,
      maxPositions: 8_192,
    })
    expect(llama.tensors.size).toBe(272)
    expect(llama.tokenizer).toMatchObject({ vocabularySize: 49_152, bosId: 1, eosId: 2, addBos: false })
    const special = Array.from({ length: 49_152 }, (_, id) => id).filter((id) =>
      llama.tokenizer.isSpecial(id),
    )
    expect(special).toHaveLength(17)
  })

  it('encodes and decodes every text', () => {
    const { encode }: { encode: EncodeCase[] } = fixtureJson('smollm2-135m/tokenizer-cases.json')
    expect(encode.length).toBe(84)
    for (const { text, ids, decoded, decoded_skip_special } of encode) {
      expect(llama.tokenizer.encode(text), JSON.stringify(text)).toEqual(ids)
      expect(llama.tokenizer.decode(ids)).toBe(decoded)
      expect(llama.tokenizer.decode(ids, { skipSpecial: true })).toBe(decoded_skip_special)
    }
  })

  it('decodes texts that end inside a character', () => {
    const cases: { ids: number[]; decoded: string }[] = fixtureJson(
      'smollm2-135m/tokenizer-cases.json',
    ).decode_prefixes
    expect(cases.length).toBe(23)
    for (const { ids, decoded } of cases) expect(llama.tokenizer.decode(ids), `${ids}`).toBe(decoded)
  })

  it('renders every conversation', () => {
    const cases: ChatCase[] = fixtureJson('smollm2-135m/chat-cases.json')
    expect(cases.length).toBeGreaterThan(5)
    for (const { messages, add_generation_prompt, text, ids } of cases) {
      const rendered = llama.tokenizer.renderChat(messages, add_generation_prompt)
      expect(rendered).toBe(text)
      expect(llama.tokenizer.encode(rendered)).toEqual(ids)
    }
  })
})
