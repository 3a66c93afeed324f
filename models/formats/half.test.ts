import { describe, expect, it } from 'vitest'
import { bfloat16ToFloat32, float16ToFloat32, float32ToFloat16, float32ToFloat16Bits } from './half.ts'

const float = (bits: number) => float16ToFloat32(Uint16Array.of(bits))[0]

describe('binary16', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65_504],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
  ])('0x%s is %d', (bits, value) => {
    expect(float(bits)).toBe(value)
    expect(float32ToFloat16Bits(value)).toBe(bits)
  })

  it('gives back every one of the 65,536 patterns', () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)
    const back = float32ToFloat16(float16ToFloat32(all))
    const wrong: number[] = []
    for (let bits = 0; bits < 65_536; bits++) {
      const nan = (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0
      if (back[bits] !== (nan ? 0x7e00 : bits)) wrong.push(bits)
    }
    expect(wrong).toEqual([])
  })

  it('rounds to the nearest, ties to even', () => {
    const wrong: number[] = []
    for (let bits = 0; bits < 0x7bff; bits++) {
      const middle = (float(bits) + float(bits + 1)) / 2
      const even = bits % 2 === 0 ? bits : bits + 1
      if (float32ToFloat16Bits(middle) !== even) wrong.push(bits)
      // A float32 has 13 more bits than a half: these are the neighbours of the middle.
      const step = (float(bits + 1) - float(bits)) / 4
      if (float32ToFloat16Bits(middle - step) !== bits) wrong.push(bits)
      if (float32ToFloat16Bits(middle + step) !== bits + 1) wrong.push(bits)
    }
    expect(wrong).toEqual([])
  })

  it('overflows at 65,520', () => {
    expect(float32ToFloat16Bits(65_519.996)).toBe(0x7bff)
    expect(float32ToFloat16Bits(65_520)).toBe(0x7c00)
    expect(float32ToFloat16Bits(-1e30)).toBe(0xfc00)
    expect(float32ToFloat16Bits(Number.NaN)).toBe(0x7e00)
  })
})

it('bfloat16 is the upper half of a float32', () => {
  expect(Array.from(bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x0001)))).toEqual([
    1,
    -2,
    Infinity,
    2 ** -133,
  ])
})
