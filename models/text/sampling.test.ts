import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RandomStream } from '../adapters/random.ts'
import { choose } from './sampling.ts'
import { TextStream } from './text-stream.ts'
import type { Tokenizer } from './tokenizer.ts'

const none = new Set<number>()
const draws = (seed: string) => new RandomStream(seed, 'generate')
const anyLogits = fc
  .array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((list) => Float32Array.from(list))

describe('choose', () => {
  it('at temperature 0 takes the first of the likeliest, with its lead', () => {
    expect(choose(Float32Array.of(1, 3, 2.5, 3), none, {}, draws('x'))).toEqual({ id: 1, margin: 0 })
    expect(choose(Float32Array.of(1, 3, 2.5), none, {}, draws('x'))).toEqual({ id: 1, margin: 0.5 })
  })

  it('never leaves the nucleus', () => {
    fc.assert(
      fc.property(
        anyLogits,
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.string(),
        (logits, topP, seed) => {
          const weight = (id: number) => Math.exp(logits[id] - Math.max(...logits))
          const order = Array.from(logits.keys()).sort((x, y) => weight(y) - weight(x) || x - y)
          const weights = order.map(weight)
          const total = weights.reduce((sum, weight) => sum + weight, 0)
          let sum = 0
          const nucleus = new Set<number>()
          order.forEach((id, rank) => {
            if (rank === 0 || sum < topP * total * (1 + 1e-9)) nucleus.add(id)
            sum += weights[rank]
          })
          const random = draws(seed)
          for (let i = 0; i < 20; i++)
            expect(nucleus).toContain(choose(logits.slice(), none, { temperature: 1, topP }, random).id)
        },
      ),
    )
  })

  it('draws in proportion to the probabilities, sharper when colder', () => {
    const logits = Float32Array.of(0, Math.log(2), Math.log(5))
    const shares = (temperature: number) => {
      const counts = [0, 0, 0]
      const random = draws('shares')
      for (let i = 0; i < 8000; i++) counts[choose(logits, none, { temperature }, random).id] += 1 / 8000
      return counts
    }
    expect(shares(1).map((share) => Math.round(share * 40) / 40)).toEqual([0.125, 0.25, 0.625])
    expect(shares(0.5)[2]).toBeGreaterThan(0.8)
    expect(shares(100)[0]).toBeGreaterThan(0.3)
  })

  it('is the same under one seed', () => {
    fc.assert(
      fc.property(anyLogits, fc.string(), (logits, seed) => {
        const ids = () => {
          const random = draws(seed)
          return Array.from({ length: 5 }, () => choose(logits.slice(), none, { temperature: 1 }, random).id)
        }
        expect(ids()).toEqual(ids())
      }),
    )
  })

  it('makes what was already said less likely, whatever the sign of its logit', () => {
    const options = { repetitionPenalty: 2 }
    expect(choose(Float32Array.of(4, 3, -1), new Set([0]), options, draws('x'))).toEqual({ id: 1, margin: 1 })
    expect(choose(Float32Array.of(-1, -1.5), new Set([0]), options, draws('x'))).toEqual({
      id: 1,
      margin: 0.5,
    })
    expect(choose(Float32Array.of(4, 3), new Set([0]), { repetitionPenalty: 1 }, draws('x')).id).toBe(0)
  })
})

/** A tokenizer of bytes: every id is one, so that characters come in pieces. */
const bytes = {
  decode: (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids)),
} as Tokenizer

/** All that comes of these bytes: the text, the ids, and whether a stop string ended it. */
function streamed(input: Iterable<number>, stop: readonly string[]) {
  const stream = new TextStream(bytes, stop)
  const parts: { id: number; text: string }[] = []
  for (const id of input) {
    parts.push(...stream.push(id, 0))
    if (stream.stopped) break
  }
  if (!stream.stopped) parts.push(...stream.end())
  return {
    text: parts.map(({ text }) => text).join(''),
    ids: parts.map(({ id }) => id),
    parts,
    stopped: stream.stopped,
  }
}

describe('TextStream', () => {
  it('gives every token and the whole text where nothing stops it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.array(fc.string(), { maxLength: 3 }), (text, stop) => {
        fc.pre(stop.every((one) => one === '' || !text.includes(one)))
        const encoded = [...new TextEncoder().encode(text)]
        const found = streamed(encoded, stop)
        expect(found.text).toBe(text)
        expect(found.ids).toEqual(encoded)
        expect(found.stopped).toBe(false)
      }),
    )
  })

  it('ends before the first stop string, of which not a letter is shown', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.string({ unit: 'grapheme' }),
        (before, stop, after) => {
          const whole = before + stop + after
          const { text, stopped } = streamed(new TextEncoder().encode(whole), [stop])
          expect(stopped).toBe(true)
          expect(text).toBe(whole.slice(0, whole.indexOf(stop)))
        },
      ),
    )
  })

  it('holds back no more than it must', () => {
    const { parts } = streamed(new TextEncoder().encode('ab\n\ncd'), ['\n\n\n'])
    expect(parts.map(({ text }) => text)).toEqual(['a', 'b', '', '\n\nc', '', 'd'])
  })
})
