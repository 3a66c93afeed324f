import { describe, expect, it } from 'vitest'
import { type PhiloxCounter, type PhiloxKey, philox4x32, RandomStream, seedKey } from './random.ts'

describe('philox4x32', () => {
  // kat_vectors of Random123 1.14: "philox4x32 10".
  it.each<[PhiloxCounter, PhiloxKey, number[]]>([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('gives the known answer of %j', (counter, key, words) => {
    const out = new Uint32Array(4)
    philox4x32(counter, key, out)
    expect(Array.from(out)).toEqual(words)
  })
})

describe('seedKey', () => {
  it('is the first eight bytes of SHA-256, little endian', () => {
    // printf '7\ninitial' | sha256sum
    const [low, high] = seedKey('7', 'initial')
    expect([low.toString(16), high.toString(16)]).toEqual(['4e9f1b1b', '5abe170f'])
  })

  it('keeps seed and label apart', () => {
    expect(seedKey('1', '2')).not.toEqual(seedKey('12', ''))
    expect(seedKey('a', 'b')).not.toEqual(seedKey('a', 'c'))
  })
})

describe('RandomStream', () => {
  it('gives the words of counters 0, 1, ...', () => {
    const stream = new RandomStream('seed', 'label')
    const out = new Uint32Array(4)
    for (let block = 0; block < 3; block++) {
      philox4x32([block, 0, 0, 0], seedKey('seed', 'label'), out)
      for (let word = 0; word < 4; word++) expect(stream.nextUint32()).toBe(out[word])
    }
  })

  it('continues from a state, at every word', () => {
    const words = Array.from(
      { length: 12 },
      (
        (stream) => () =>
          stream.nextUint32()
      )(new RandomStream('s', 'l')),
    )
    for (let drawn = 0; drawn < 12; drawn++) {
      const stream = new RandomStream('s', 'l')
      stream.restore(drawn)
      expect(stream.state()).toBe(drawn)
      expect(stream.nextUint32()).toBe(words[drawn])
      expect(stream.state()).toBe(drawn + 1)
    }
  })

  it('carries into the second counter word', () => {
    const stream = new RandomStream('s', 'l')
    stream.restore(4 * 2 ** 32 + 1)
    const out = new Uint32Array(4)
    philox4x32([0, 1, 0, 0], seedKey('s', 'l'), out)
    expect(stream.nextUint32()).toBe(out[1])
  })

  it('gives floats in [0, 1), uniform', () => {
    const stream = new RandomStream('uniform', '')
    const bins = new Array(10).fill(0)
    for (let i = 0; i < 100_000; i++) bins[Math.floor(stream.nextFloat() * 10)]++
    expect(bins).toHaveLength(10)
    // Five standard deviations of a binomial(100,000, 0.1).
    for (const count of bins) expect(Math.abs(count - 10_000)).toBeLessThan(475)
  })

  it('refuses states that are none', () => {
    for (const state of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => new RandomStream('', '').restore(state)).toThrow(RangeError)
    }
  })
})
