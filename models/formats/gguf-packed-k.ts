/**
 * ggml's K types for a GPU: the codes of a super-block's eight blocks of 32 in the order that kernels read them, and
 * the scales of its groups as bytes behind binary32 numbers. The file's binary16 ones are often below 2^-14, which
 * WGSL lets a driver read as 0, and its 6-bit scales lie across bytes: both would cost more to undo in every kernel
 * than the 0.7 to 5.5 % that this layout is larger.
 */
import { float16At } from './gguf-blocks.ts'
import { groupMinimum6, groupScale6, q3GroupScale } from './gguf-k-blocks.ts'

export type PackedKType = 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K'

export interface KLayout {
  /** Words of codes a block of 32 weights. */
  readonly codeWords: number
  /** Words a super-block: binary32 scale, in types with minimums also theirs, then the groups' bytes. */
  readonly scaleWords: number
  /** One super-block's at `at` of `bytes`, into `codes` from word `code` and `scales` from word `scale`. */
  split(
    bytes: Uint8Array,
    at: number,
    codes: Uint32Array,
    code: number,
    scales: Float32Array,
    scale: number,
  ): void
}

const SUPER_BLOCK = 256

/** One super-block's codes, an integer a weight. */
const unpacked = new Uint8Array(SUPER_BLOCK)

/** Bytes seen as words, to be written where float words are: the same memory. */
const bytesAt = (scales: Float32Array, word: number, count: number) =>
  new Uint8Array(scales.buffer, scales.byteOffset + 4 * word, count)

/** Low four bits of a block: word w holds weights 4w to 4w + 3 in low halves of bytes, 16 + 4w … in high halves. */
function nibbleWords(from: number, codes: Uint32Array, to: number): void {
  for (let w = 0; w < 4; w++) {
    let word = 0
    for (let i = 0; i < 4; i++) {
      const low = unpacked[from + 4 * w + i] & 15
      const high = unpacked[from + 16 + 4 * w + i] & 15
      word |= (low | (high << 4)) << (8 * i)
    }
    codes[to + w] = word
  }
}

/** Bits `shift` and `shift` + 1 of a block's weights, 16 a word. */
function pairWords(from: number, shift: number, codes: Uint32Array, to: number): void {
  for (let w = 0; w < 2; w++) {
    let word = 0
    for (let i = 0; i < 16; i++) word |= ((unpacked[from + 16 * w + i] >> shift) & 3) << (2 * i)
    codes[to + w] = word
  }
}

/** One bit of each of a block's weights. */
function bitWord(from: number, shift: number, codes: Uint32Array, to: number): void {
  let word = 0
  for (let i = 0; i < 32; i++) word |= ((unpacked[from + i] >> shift) & 1) << i
  codes[to] = word
}

/** Two bits of 256 weights from 64 bytes: the first 32 of each half in the lowest bits of its 32 bytes. */
function readPairs(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < SUPER_BLOCK; i++) {
    unpacked[i] = (bytes[at + (i >> 7) * 32 + (i & 31)] >> (((i >> 5) & 3) * 2)) & 3
  }
}

/** Four bits of 256 weights from 128 bytes: 32 in the low halves of 32 bytes, the next 32 in their high halves. */
function readNibbles(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < SUPER_BLOCK; i++) {
    unpacked[i] = (bytes[at + (i >> 6) * 32 + (i & 31)] >> (((i >> 5) & 1) * 4)) & 15
  }
}

/** Of Q4_K and Q5_K, both of which begin so: scale, scale of the minimums, 8 scales, 8 minimums. */
function groupsOf32(bytes: Uint8Array, at: number, scales: Float32Array, scale: number): void {
  scales[scale] = float16At(bytes, at)
  scales[scale + 1] = float16At(bytes, at + 2)
  const groups = bytesAt(scales, scale + 2, 16)
  for (let group = 0; group < 8; group++) {
    groups[group] = groupScale6(bytes, at + 4, group)
    groups[group + 8] = groupMinimum6(bytes, at + 4, group)
  }
}

export const K_LAYOUTS: Readonly<Record<PackedKType, KLayout>> = {
  Q2_K: {
    codeWords: 2,
    scaleWords: 6,
    split(bytes, at, codes, code, scales, scale) {
      readPairs(bytes, at + 16)
      for (let block = 0; block < 8; block++) pairWords(32 * block, 0, codes, code + 2 * block)
      scales[scale] = float16At(bytes, at + 80)
      scales[scale + 1] = float16At(bytes, at + 82)
      bytesAt(scales, scale + 2, 16).set(bytes.subarray(at, at + 16))
    },
  },
  Q3_K: {
    codeWords: 3,
    scaleWords: 5,
    split(bytes, at, codes, code, scales, scale) {
      readPairs(bytes, at + 32)
      for (let i = 0; i < SUPER_BLOCK; i++) unpacked[i] |= ((bytes[at + (i & 31)] >> (i >> 5)) & 1) << 2
      for (let block = 0; block < 8; block++) {
        bitWord(32 * block, 2, codes, code + 3 * block)
        pairWords(32 * block, 0, codes, code + 3 * block + 1)
      }
      scales[scale] = float16At(bytes, at + 108)
      const groups = bytesAt(scales, scale + 1, 16)
      for (let group = 0; group < 16; group++) groups[group] = q3GroupScale(bytes, at + 96, group)
    },
  },
  Q4_K: {
    codeWords: 4,
    scaleWords: 6,
    split(bytes, at, codes, code, scales, scale) {
      readNibbles(bytes, at + 16)
      for (let block = 0; block < 8; block++) nibbleWords(32 * block, codes, code + 4 * block)
      groupsOf32(bytes, at, scales, scale)
    },
  },
  Q5_K: {
    codeWords: 5,
    scaleWords: 6,
    split(bytes, at, codes, code, scales, scale) {
      readNibbles(bytes, at + 48)
      for (let i = 0; i < SUPER_BLOCK; i++) unpacked[i] |= ((bytes[at + 16 + (i & 31)] >> (i >> 5)) & 1) << 4
      for (let block = 0; block < 8; block++) {
        bitWord(32 * block, 4, codes, code + 5 * block)
        nibbleWords(32 * block, codes, code + 5 * block + 1)
      }
      groupsOf32(bytes, at, scales, scale)
    },
  },
  Q6_K: {
    codeWords: 6,
    scaleWords: 5,
    split(bytes, at, codes, code, scales, scale) {
      for (let i = 0; i < SUPER_BLOCK; i++) {
        const quarter = (i >> 5) & 3 // of the 128 weights that share 64 low and 32 high bytes
        const low = bytes[at + (i >> 7) * 64 + (quarter & 1) * 32 + (i & 31)] >> ((quarter >> 1) * 4)
        const high = bytes[at + 128 + (i >> 7) * 32 + (i & 31)] >> (quarter * 2)
        unpacked[i] = (low & 15) | ((high & 3) << 4)
      }
      for (let block = 0; block < 8; block++) {
        pairWords(32 * block, 4, codes, code + 6 * block)
        nibbleWords(32 * block, codes, code + 6 * block + 2)
      }
      scales[scale] = float16At(bytes, at + 208)
      bytesAt(scales, scale + 1, 16).set(bytes.subarray(at + 192, at + 208))
    },
  },
}
