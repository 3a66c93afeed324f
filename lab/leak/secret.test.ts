import fs from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTokenizer } from '../../models/text/tokenizer.ts'
import {
  candidateExample,
  drawCandidates,
  drawCode,
  exposureOf,
  isCode,
  plant,
  SECRET_BEGINNING,
} from './secret.ts'

const file = (name: string) =>
  JSON.parse(fs.readFileSync(new URL(`../../models/catalog/tiny/${name}`, import.meta.url), 'utf8'))
const tokenizer = createTokenizer(file('tokenizer.json'), file('tokenizer_config.json'))
const code = fc.integer({ min: 0, max: 9999 }).map((number) => String(number).padStart(4, '0'))

describe('the secret and its alternatives', () => {
  it('are different codes, the secret first, the same for the same seed', () => {
    fc.assert(
      fc.property(code, fc.integer({ min: 2, max: 300 }), fc.string(), (secret, candidates, seed) => {
        const drawn = drawCandidates(secret, candidates, seed)
        expect(drawn[0]).toBe(secret)
        expect(new Set(drawn).size).toBe(candidates)
        expect(drawn.every(isCode)).toBe(true)
        expect(drawCandidates(secret, candidates, seed)).toEqual(drawn)
      }),
      { numRuns: 50 },
    )
    expect(drawCandidates('0000', 10_000, 'all')).toHaveLength(10_000)
    expect(() => drawCandidates('12a4', 5, '')).toThrow(RangeError)
    expect(isCode(drawCode('any'))).toBe(true)
  })

  it('have as many tokens each, of which the code alone counts', () => {
    fc.assert(
      fc.property(code, (secret) => {
        const { ids, counts, counted } = candidateExample(secret, tokenizer)
        expect(counted).toBe(4)
        const shown = Array.from(ids).filter((_, i) => i > 0 && counts[i - 1] === 1)
        expect(tokenizer.decode(shown)).toBe(secret)
      }),
      { numRuns: 100 },
    )
  })

  it('stand in the text as often as asked, and change nothing else of it', () => {
    const text = ['one', 'two', 'three', 'four'].join('\n\n')
    for (const copies of [0, 1, 3, 9]) {
      const planted = plant(text, '4719', copies)
      expect(planted.split(`${SECRET_BEGINNING} 4719.`).length - 1).toBe(copies)
      expect(
        planted
          .split('\n\n')
          .filter((part) => !part.includes('4719'))
          .join('\n\n'),
      ).toBe(text)
    }
  })
})

describe('exposure', () => {
  it('is all bits for the likeliest, none for the least likely, and counts against the model that cannot tell', () => {
    expect(exposureOf([-1, -2, -3, -4])).toEqual({ rank: 1, candidates: 4, bits: 2 })
    expect(exposureOf([-9, -2, -3, -4])).toEqual({ rank: 4, candidates: 4, bits: 0 })
    expect(exposureOf([-2, -2, -2, -2])).toEqual({ rank: 4, candidates: 4, bits: 0 })
    expect(exposureOf([Number.NaN, -1])).toEqual({ rank: 2, candidates: 2, bits: 0 })
  })

  it('is about 1.44 bits on average where the model knows nothing, by any order', () => {
    // The mean of log2(n / rank) over all ranks tends to 1 / ln 2.
    const n = 256
    let sum = 0
    for (let rank = 1; rank <= n; rank++) {
      const others = Array.from({ length: n - 1 }, (_, i) => (i < rank - 1 ? 1 : -1))
      sum += exposureOf([0, ...others]).bits
    }
    expect(sum / n).toBeCloseTo(1 / Math.LN2, 1)
  })
})
