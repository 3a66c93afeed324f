/** Splitting blocks into words: every bit arrives where the kernels look for it, and nothing is added. */
import { describe, expect, it } from 'vitest'
import { packedMatrix } from '../testing/packed.ts'
import {
  checkPacked,
  PACKED_TYPES,
  type PackedType,
  packedBytes,
  splitBlocks,
  staysPacked,
} from './gguf-packed.ts'
import { bfloat16ToFloat32, float16Table } from './half.ts'

/** The layout that the files' openings describe, read weight by weight. */
function unpack(type: PackedType, index: number, codes: Uint32Array, scales: Uint32Array): number {
  const halves = float16Table()
  const half = (words: Uint32Array, at: number) => halves[(words[at >> 1] >>> (16 * (at & 1))) & 0xffff]
  const single = (at: number) => new Float32Array(scales.buffer)[at]
  const byte = (at: number) => new Uint8Array(scales.buffer)[at]
  const [block, within] = [Math.floor(index / 32), index % 32]
  /** Bits of this weight in a block of `words`, whose word `at` begins them, `bits` a weight in weights' order. */
  const field = (words: number, at: number, bits: number) => {
    const word = codes[block * words + at + Math.floor((within * bits) / 32)]
    return (word >>> ((within * bits) % 32)) & (2 ** bits - 1)
  }
  const nibble = (words: number) =>
    (codes[block * words + words - 4 + ((within % 16) >> 2)] >>> (8 * (within % 4) + (within < 16 ? 0 : 4))) &
    15
  const five = () => nibble(5) | (field(5, 0, 1) << 4)
  const [superBlock, of32, of16] = [Math.floor(index / 256), block % 8, Math.floor(index / 16) % 16]
  /** A K type with minimums: two numbers, then bytes. */
  const withMinimums = (code: number, scale: number, minimum: number) =>
    single(superBlock * 6) * scale * code - single(superBlock * 6 + 1) * minimum
  const around = (zero: number, code: number) =>
    single(superBlock * 5) * ((byte(superBlock * 20 + 4 + of16) << 24) >> 24) * (code - zero)
  const group = (place: number) => byte(superBlock * 24 + 8 + place)
  switch (type) {
    case 'F16':
      return half(codes, index)
    case 'BF16':
      return bfloat16ToFloat32(Uint16Array.of(codes[index >> 1] >>> (16 * (index & 1))))[0]
    case 'Q8_0':
      return half(scales, block) * (((codes[index >> 2] >>> (8 * (index % 4))) << 24) >> 24)
    case 'Q4_0':
      return half(scales, block) * (nibble(4) - 8)
    case 'Q4_1':
      return half(scales, 2 * block) * nibble(4) + half(scales, 2 * block + 1)
    case 'Q5_0':
      return half(scales, block) * (five() - 16)
    case 'Q5_1':
      return half(scales, 2 * block) * five() + half(scales, 2 * block + 1)
    case 'Q2_K':
      return withMinimums(field(2, 0, 2), group(of16) & 15, group(of16) >> 4)
    case 'Q3_K':
      return around(4, field(3, 1, 2) | (field(3, 0, 1) << 2))
    case 'Q4_K':
      return withMinimums(nibble(4), group(of32), group(8 + of32))
    case 'Q5_K':
      return withMinimums(five(), group(of32), group(8 + of32))
    case 'Q6_K':
      return around(32, nibble(6) | (field(6, 0, 2) << 4))
  }
}

describe.each(PACKED_TYPES)('%s', (type) => {
  const width = type.endsWith('_K') ? 256 : 64
  const { blocks, values } = packedMatrix(type, [3, width], 1)

  it('takes the bytes of the file, of the K types a few more', () => {
    const { codes, scales } = splitBlocks(type, blocks)
    expect(packedBytes(type, 3 * width)).toEqual({ codes: codes.byteLength, scales: scales.byteLength })
    const bytes = codes.byteLength + scales.byteLength
    if (width === 64) expect(bytes).toBe(blocks.length)
    else expect(bytes / blocks.length).toBeLessThan(1.06)
  })

  it('holds every weight, wherever the bytes begin', () => {
    const shifted = new Uint8Array(blocks.length + 1)
    shifted.set(blocks, 1)
    const { codes, scales } = splitBlocks(type, shifted.subarray(1))
    const found = Float32Array.from(values, (_, index) => unpack(type, index, codes, scales))
    expect(found).toEqual(values)
  })

  it('refuses bytes that are not the matrix', () => {
    expect(() => checkPacked(type, blocks, [3, width])).not.toThrow()
    expect(() => checkPacked(type, blocks.subarray(2), [3, width])).toThrow(RangeError)
    expect(() => checkPacked(type, blocks, [4, width])).toThrow(RangeError)
    // As many weights, but rows that are no whole blocks or quads.
    expect(() => checkPacked(type, blocks, [(3 * width) / 2, 2])).toThrow(RangeError)
    expect(() => splitBlocks(type, blocks.subarray(1))).toThrow(RangeError)
  })
})

it('only matrices of whole blocks stay packed', () => {
  expect(staysPacked('Q4_1', [7, 96])).toBe(true)
  expect(staysPacked('Q4_1', [7, 48])).toBe(false)
  expect(staysPacked('Q4_1', [64])).toBe(false)
  expect(staysPacked('F16', [7, 12])).toBe(true)
  expect(staysPacked('F16', [7, 30])).toBe(false)
  expect(staysPacked('Q6_K', [7, 768])).toBe(true)
  expect(staysPacked('Q6_K', [7, 576])).toBe(false)
  for (const other of ['F32', 'IQ4_NL', 'toString']) expect(staysPacked(other, [256, 256])).toBe(false)
})
