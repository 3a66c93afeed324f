import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from './canonical-json.ts'
import { sha256Hex } from './sha256.ts'

describe('canonicalJson', () => {
  it('sorts names by UTF-16 code units and writes no spaces', () => {
    // The order of RFC 8785, section 3.2.3.
    const value = { '€': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, ö: 7 }
    expect(canonicalJson(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}')
    expect(canonicalJson([1, { b: [true, null], a: 'x"y' }])).toBe('[1,{"a":"x\\"y","b":[true,null]}]')
  })

  it('writes numbers as ECMAScript does', () => {
    expect(canonicalJson([-0, 1e21, 1e-7, 0.1, 100])).toBe('[0,1e+21,1e-7,0.1,100]')
  })

  it('leaves undefined members out and refuses what JSON cannot say', () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}')
    for (const value of [Number.NaN, Infinity, undefined, 1n, () => 1, [undefined]]) {
      expect(() => canonicalJson(value)).toThrow(TypeError)
    }
  })

  it('means the same value, whatever the order of its names', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value)
        expect(canonicalJson(JSON.parse(text))).toBe(text)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

it('sha256Hex gives the digests of FIPS 180-4', () => {
  expect(sha256Hex(new Uint8Array())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  expect(sha256Hex(new TextEncoder().encode('abc'))).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
})
