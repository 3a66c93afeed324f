import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fixtureJson, fixtures } from '../testing/fixtures.ts'
import { captionTokenizer } from './captions.ts'
import { parseDiffusionConfig } from './config.ts'

const text = (name: string) => new TextDecoder().decode(fixtures.modelFiles('emoji-dit').get(name)!)
const config = parseDiffusionConfig(JSON.parse(text('config.json')))
const tokenizerJson = JSON.parse(text('tokenizer.json'))
const tokenizer = captionTokenizer(tokenizerJson, config)

describe('captions', () => {
  const cases: { caption: string; ids: number[] }[] = fixtureJson('emoji-dit/captions.json')

  it(`gives ${cases.length} captions the ids that Python's tokenizers gives them`, () => {
    expect(cases.length).toBeGreaterThan(80)
    expect(cases.map(({ caption }) => [...tokenizer.encode(caption)])).toEqual(cases.map(({ ids }) => ids))
  })

  it('begins with <bos>, has the length the model takes and ids it knows, whatever the caption', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (caption) => {
        const ids = [...tokenizer.encode(caption)]
        expect(ids).toHaveLength(12)
        expect(ids[0]).toBe(1)
        expect(ids.every((id) => id >= 0 && id < 1024)).toBe(true)
      }),
    )
  })

  it('counts what is cut off', () => {
    expect(tokenizer.beyond('cat')).toBe(0)
    expect(tokenizer.beyond('a b c d e f g h i j k l m n o p')).toBeGreaterThan(0)
    expect(tokenizer.encode('x'.repeat(1_000_000))).toHaveLength(12)
  })

  it('refuses a tokenizer with more tokens than the model', () => {
    expect(() => captionTokenizer(tokenizerJson, { ...config, vocabularySize: 1000 })).toThrow(/1024/)
  })
})
