/**
 * ggml's K types: super-blocks of 256 weights in groups of 16 or 32, each group with its own small-integer scale
 * (and minimum), all multiplied by one binary16 a super-block. Q2, Q4 and Q5: scale * code - minimum; Q3 and Q6:
 * scale * code around zero. A weight's code may be spread over two places: low bits and high bits.
 */
import { type BlockDecoder, float16At } from './gguf-blocks.ts'

/** 16 bytes of group scales and minimums (4 bits each), 64 of codes, scale, scale of the minimums. Groups of 16. */
export const q2_k: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at + 80)
  const minimumScale = float16At(bytes, at + 82)
  for (let group = 0; group < 16; group++) {
    const packed = bytes[at + group]
    const groupScale = scale * (packed & 0xf)
    const minimum = minimumScale * (packed >> 4)
    // 32 bytes hold 128 weights, two bits each: the first 32 weights in the lowest bits, the next above them.
    const codes = at + 16 + (group >> 3) * 32 + (group & 1) * 16
    const shift = ((group >> 1) & 3) * 2
    for (let j = 0; j < 16; j++) {
      weights[to + group * 16 + j] = groupScale * ((bytes[codes + j] >> shift) & 3) - minimum
    }
  }
}

/** Of Q3_K: a group's scale, -32 to 31, from 12 bytes. */
export function q3GroupScale(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + (group & 7)] >> (group < 8 ? 0 : 4)) & 0xf
  const high = (bytes[at + 8 + (group & 3)] >> ((group >> 2) * 2)) & 3
  return (low | (high << 4)) - 32
}

/**
 * 32 bytes of third bits, 64 of the lower two, 12 of 6-bit group scales, scale. Groups of 16. Scale i's low four
 * bits are in nibble i of the first eight bytes (low nibbles first), its high two in the last four bytes.
 */
export const q3_k: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at + 108)
  for (let group = 0; group < 16; group++) {
    const groupScale = scale * q3GroupScale(bytes, at + 96, group)
    const within = (group & 1) * 16
    const codes = at + 32 + (group >> 3) * 32 + within
    const thirdBits = at + within
    const shift = ((group >> 1) & 3) * 2
    const third = group >> 1 // which bit of the byte
    for (let j = 0; j < 16; j++) {
      const code = ((bytes[codes + j] >> shift) & 3) - (((bytes[thirdBits + j] >> third) & 1) === 1 ? 0 : 4)
      weights[to + group * 16 + j] = groupScale * code
    }
  }
}

/** Of Q4_K and Q5_K: 6 bits of a group's scale, from 12 bytes that hold 8 scales and 8 minimums. */
export function groupScale6(bytes: Uint8Array, at: number, group: number): number {
  return group < 4
    ? bytes[at + group] & 63
    : (bytes[at + group + 4] & 0xf) | ((bytes[at + group - 4] >> 6) << 4)
}

export function groupMinimum6(bytes: Uint8Array, at: number, group: number): number {
  return group < 4
    ? bytes[at + group + 4] & 63
    : (bytes[at + group + 4] >> 4) | ((bytes[at + group] >> 6) << 4)
}

/** scale, scale of the minimums, 12 bytes of group scales and minimums, 128 of codes. Groups of 32. */
export const q4_k: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  const minimumScale = float16At(bytes, at + 2)
  for (let group = 0; group < 8; group++) {
    const groupScale = scale * groupScale6(bytes, at + 4, group)
    const minimum = minimumScale * groupMinimum6(bytes, at + 4, group)
    const codes = at + 16 + (group >> 1) * 32
    const shift = (group & 1) * 4
    for (let j = 0; j < 32; j++) {
      weights[to + group * 32 + j] = groupScale * ((bytes[codes + j] >> shift) & 0xf) - minimum
    }
  }
}

/** As Q4_K with 32 bytes of fifth bits before the codes: weight j of group g at bit g of byte j. */
export const q5_k: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at)
  const minimumScale = float16At(bytes, at + 2)
  const fifthBits = at + 16
  for (let group = 0; group < 8; group++) {
    const groupScale = scale * groupScale6(bytes, at + 4, group)
    const minimum = minimumScale * groupMinimum6(bytes, at + 4, group)
    const codes = at + 48 + (group >> 1) * 32
    const shift = (group & 1) * 4
    for (let j = 0; j < 32; j++) {
      const code = ((bytes[codes + j] >> shift) & 0xf) | (((bytes[fifthBits + j] >> group) & 1) << 4)
      weights[to + group * 32 + j] = groupScale * code - minimum
    }
  }
}

/** 128 bytes of low four bits, 64 of high two, 16 signed group scales, scale. Groups of 16. */
export const q6_k: BlockDecoder = (bytes, at, weights, to) => {
  const scale = float16At(bytes, at + 208)
  for (let group = 0; group < 16; group++) {
    const groupScale = scale * ((bytes[at + 192 + group] << 24) >> 24)
    const quarter = (group >> 1) & 3 // of the 128 weights that share 64 low and 32 high bytes
    const within = (group & 1) * 16
    const low = at + (group >> 3) * 64 + (quarter & 1) * 32 + within
    const high = at + 128 + (group >> 3) * 32 + within
    const lowShift = (quarter >> 1) * 4
    for (let j = 0; j < 16; j++) {
      const code = ((bytes[low + j] >> lowShift) & 0xf) | (((bytes[high + j] >> (quarter * 2)) & 3) << 4)
      weights[to + group * 16 + j] = groupScale * (code - 32)
    }
  }
}
