/**
 * Matrices that a GPU can multiply with as a file packs them. A GPU reads 32-bit words, and ggml's blocks do not begin
 * at words, so a matrix is split in two: the codes of all blocks of 32 weights, and their scales.
 *
 * In 4-bit codes word w of a block holds weights 4w to 4w + 3 in the low halves of its bytes and weights 16 + 4w to
 * 16 + 4w + 3 in the high halves; a word before them holds the fifth bits, weight j's at bit j. In 8-bit codes word w
 * holds weights 4w to 4w + 3. These types take the file's bytes, no more: 18 a block for Q4_0, 20 for Q4_1, 22 for
 * Q5_0, 24 for Q5_1, 34 for Q8_0, and 2 a weight for F16 and BF16. The K types: gguf-packed-k.ts.
 */
import { K_LAYOUTS, type PackedKType } from './gguf-packed-k.ts'
import { ggufTypeByName } from './gguf-types.ts'

type PackedPlainType = 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0' | 'F16' | 'BF16'

export type PackedType = PackedPlainType | PackedKType

/** Bytes before a block's codes: its scale, in _1 types also its minimum, binary16 each. */
const SCALE_BYTES: Readonly<Record<PackedPlainType, number>> = {
  Q4_0: 2,
  Q4_1: 4,
  Q5_0: 2,
  Q5_1: 4,
  Q8_0: 2,
  F16: 0,
  BF16: 0,
}

const isKType = (type: string): type is PackedKType => Object.hasOwn(K_LAYOUTS, type)

export const PACKED_TYPES: readonly PackedType[] = [
  ...(Object.keys(SCALE_BYTES) as PackedPlainType[]),
  ...(Object.keys(K_LAYOUTS) as PackedKType[]),
]

/** Weights that are read together: four of one row. */
const QUAD = 4

export interface SplitBlocks {
  readonly codes: Uint32Array<ArrayBuffer>
  /**
   * Binary16 numbers, two a word: scale and minimum of a block for _1 types, scales of two blocks for _0 types; empty
   * for F16 and BF16.
   */
  readonly scales: Uint32Array<ArrayBuffer>
}

/** Whether a tensor is a matrix whose rows are whole blocks of a type that `splitBlocks` takes. */
export function staysPacked(type: string, shape: readonly number[]): type is PackedType {
  if (!PACKED_TYPES.includes(type as PackedType) || shape.length !== 2) return false
  return shape[1] % Math.max(QUAD, ggufTypeByName(type)!.blockWeights) === 0
}

/** @throws RangeError where the bytes are not those of a matrix of this shape, or its rows are no whole blocks */
export function checkPacked(type: PackedType, blocks: Uint8Array, shape: readonly [number, number]): void {
  const { blockBytes, blockWeights } = ggufTypeByName(type)!
  const bytes = ((shape[0] * shape[1]) / blockWeights) * blockBytes
  if (!staysPacked(type, shape) || blocks.length !== bytes)
    throw new RangeError(`${blocks.length} bytes are no ${type} matrix [${shape}]`)
}

/** @param blocks whole blocks; a view that may begin at any byte */
export function splitBlocks(type: PackedType, blocks: Uint8Array): SplitBlocks {
  const { blockBytes } = ggufTypeByName(type)!
  const count = blocks.length / blockBytes
  if (!Number.isInteger(count)) throw new RangeError(`${blocks.length} bytes are no ${type} blocks`)
  if (isKType(type)) return splitSuperBlocks(type, blocks, count)
  const scaleBytes = SCALE_BYTES[type]
  const codes = words(count * (blockBytes - scaleBytes))
  const scales = words(count * scaleBytes)
  if (scaleBytes === 0) {
    codes.bytes.set(blocks)
    return { codes: codes.words, scales: scales.words }
  }
  let at = 0
  let code = 0
  let scale = 0
  for (let block = 0; block < count; block++) {
    for (let i = 0; i < scaleBytes; i++) scales.bytes[scale++] = blocks[at++]
    for (let i = scaleBytes; i < blockBytes; i++) codes.bytes[code++] = blocks[at++]
  }
  return { codes: codes.words, scales: scales.words }
}

function splitSuperBlocks(type: PackedKType, blocks: Uint8Array, count: number): SplitBlocks {
  const { blockBytes } = ggufTypeByName(type)!
  const { codeWords, scaleWords, split } = K_LAYOUTS[type]
  const codes = new Uint32Array(count * codeWords * 8)
  const scales = new Float32Array(count * scaleWords)
  for (let block = 0; block < count; block++) {
    split(blocks, block * blockBytes, codes, block * codeWords * 8, scales, block * scaleWords)
  }
  return { codes, scales: new Uint32Array(scales.buffer) }
}

/** Bytes of the two parts that `splitBlocks` makes of a matrix of so many weights. */
export function packedBytes(type: PackedType, weights: number): { codes: number; scales: number } {
  const { blockBytes, blockWeights } = ggufTypeByName(type)!
  const count = weights / blockWeights
  if (isKType(type)) {
    const { codeWords, scaleWords } = K_LAYOUTS[type]
    return { codes: count * codeWords * 32, scales: count * scaleWords * 4 }
  }
  const words = (bytes: number) => Math.ceil(bytes / 4) * 4
  const scaleBytes = SCALE_BYTES[type]
  return { codes: words(count * (blockBytes - scaleBytes)), scales: words(count * scaleBytes) }
}

function words(bytes: number) {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  return { words, bytes: new Uint8Array(words.buffer) }
}
