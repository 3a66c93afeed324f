/** Splitting blocks into words: every bit arrives where the kernels look for it, and nothing is added. */
import { describe, expect, it } from 'vitest'
import { packedMatrix } from '../testing/packed.ts'
import { checkPacked, type PackedType, splitBlocks, staysPacked } from './gguf-packed.ts'
import { float16Table } from './half.ts'

/** The layout that the file's opening describes, read weight by weight. */
function unpack(type: PackedType, index: number, codes: Uint32Array, scales: Uint32Array): number {
  const halves = float16Table()
  const half = (words: Uint32Array, at: number) => halves[(words[at >> 1] >>> (16 * (at & 1))) & 0xffff]
  const [block, within] = [Math.floor(index / 32), index % 32]
  const nibble = (codes[block * 4 + ((within % 16) >> 2)] >>> (8 * (within % 4) + (within < 16 ? 0 : 4))) & 15
  switch (type) {
    case 'F16':
      return half(codes, index)
    case 'Q8_0':
      return half(scales, block) * (((codes[index >> 2] >>> (8 * (index % 4))) << 24) >> 24)
    case 'Q4_0':
      return half(scales, block) * (nibble - 8)
    case 'Q4_1':
      return half(scales, 2 * block) * nibble + half(scales, 2 * block + 1)
  }
}

describe.each<[PackedType, number]>([
  ['Q4_0', 18],
  ['Q4_1', 20],
  ['Q8_0', 34],
  ['F16', 64],
])('%s', (type, bytesOf32) => {
  const { blocks, values } = packedMatrix(type, [3, 64], 1)

  it('takes the bytes of the file', () => {
    const { codes, scales } = splitBlocks(type, blocks)
    expect(codes.byteLength + scales.byteLength).toBe(bytesOf32 * 6)
  })

  it('holds every weight, wherever the bytes begin', () => {
    const shifted = new Uint8Array(blocks.length + 1)
    shifted.set(blocks, 1)
    const { codes, scales } = splitBlocks(type, shifted.subarray(1))
    const found = Float32Array.from(values, (_, index) => unpack(type, index, codes, scales))
    expect(found).toEqual(values)
  })

  it('refuses bytes that are not the matrix', () => {
    expect(() => checkPacked(type, blocks, [3, 64])).not.toThrow()
    expect(() => checkPacked(type, blocks.subarray(2), [3, 64])).toThrow(RangeError)
    expect(() => checkPacked(type, blocks, [4, 64])).toThrow(RangeError)
    // As many weights, but rows that are no whole blocks or quads.
    expect(() => checkPacked(type, blocks, [96, 2])).toThrow(RangeError)
    expect(() => splitBlocks(type, blocks.subarray(1))).toThrow(RangeError)
  })
})

it('only matrices of whole blocks stay packed', () => {
  expect(staysPacked('Q4_1', [7, 96])).toBe(true)
  expect(staysPacked('Q4_1', [7, 48])).toBe(false)
  expect(staysPacked('Q4_1', [64])).toBe(false)
  expect(staysPacked('F16', [7, 12])).toBe(true)
  expect(staysPacked('F16', [7, 30])).toBe(false)
  for (const other of ['F32', 'BF16', 'Q6_K', 'toString']) expect(staysPacked(other, [256, 256])).toBe(false)
})
