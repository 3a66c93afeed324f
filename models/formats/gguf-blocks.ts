/**
 * ggml's blocks of 32 weights: one or two binary16 numbers, then a code a weight. `_0` types are scale * code
 * around zero, `_1` types scale * code + minimum. Byte j of the 4-bit codes holds weight j in its low half and
 * weight j + 16 in its high half; the fifth bits of Q5 stand apart, weight j's at bit j.
 */
import { float16Table } from './half.ts'

/** Writes one block's weights into `weights` from `to`, reading the block at `at`. */
export type BlockDecoder = (bytes: Uint8Array, at: number, weights: Float32Array, to: number) => void

const HALVES = float16Table()

/** The binary16 at a byte offset of any alignment. */
export const float16At = (bytes: Uint8Array, at: number): number => HALVES[bytes[at] | (bytes[at + 1] << 8)]

/** scale, 16 bytes of codes */
export const q4_0: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  for (let j = 0; j < 16; j++) {
    const pair = bytes[at + 2 + j]
    weights[to + j] = scale * ((pair & 0xf) - 8)
    weights[to + j + 16] = scale * ((pair >> 4) - 8)
  }
}

/** scale, minimum, 16 bytes of codes */
export const q4_1: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  const minimum = float16At(bytes, at + 2)
  for (let j = 0; j < 16; j++) {
    const pair = bytes[at + 4 + j]
    weights[to + j] = scale * (pair & 0xf) + minimum
    weights[to + j + 16] = scale * (pair >> 4) + minimum
  }
}

const bits32At = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)

/** scale, 4 bytes of fifth bits, 16 bytes of codes */
export const q5_0: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  const fifth = bits32At(bytes, at + 2)
  for (let j = 0; j < 16; j++) {
    const pair = bytes[at + 6 + j]
    weights[to + j] = scale * (((pair & 0xf) | (((fifth >>> j) & 1) << 4)) - 16)
    weights[to + j + 16] = scale * (((pair >> 4) | (((fifth >>> (j + 16)) & 1) << 4)) - 16)
  }
}

/** scale, minimum, 4 bytes of fifth bits, 16 bytes of codes */
export const q5_1: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  const minimum = float16At(bytes, at + 2)
  const fifth = bits32At(bytes, at + 4)
  for (let j = 0; j < 16; j++) {
    const pair = bytes[at + 8 + j]
    weights[to + j] = scale * ((pair & 0xf) | (((fifth >>> j) & 1) << 4)) + minimum
    weights[to + j + 16] = scale * ((pair >> 4) | (((fifth >>> (j + 16)) & 1) << 4)) + minimum
  }
}

/** scale, 32 signed bytes */
export const q8_0: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  for (let j = 0; j < 32; j++) weights[to + j] = scale * ((bytes[at + 2 + j] << 24) >> 24)
}
