/** Matrices in ggml's blocks made from a seed, with the float32 values that they stand for. */
import { dequantise } from '../formats/gguf-dequantise.ts'
import type { PackedType } from '../formats/gguf-packed.ts'
import { ggufTypeByName } from '../formats/gguf-types.ts'
import { float32ToBfloat16, float32ToFloat16Bits } from '../formats/half.ts'
import { bytesOf } from '../formats/safetensors.ts'
import { integers, normals } from './normals.ts'

/** Where a block has binary16 numbers, and how large they are where weights are about 0.3. */
const HALVES: Readonly<Record<PackedType, readonly { readonly at: number; readonly deviation: number }[]>> = {
  Q4_0: [{ at: 0, deviation: 0.06 }],
  Q4_1: [
    { at: 0, deviation: 0.06 },
    { at: 2, deviation: 0.4 },
  ],
  Q5_0: [{ at: 0, deviation: 0.03 }],
  Q5_1: [
    { at: 0, deviation: 0.03 },
    { at: 2, deviation: 0.4 },
  ],
  Q8_0: [{ at: 0, deviation: 0.004 }],
  F16: [{ at: 0, deviation: 0.3 }],
  BF16: [],
  // The super-block's own, of which the groups' are multiples.
  Q2_K: [
    { at: 80, deviation: 0.02 },
    { at: 82, deviation: 0.04 },
  ],
  Q3_K: [{ at: 108, deviation: 0.01 }],
  Q4_K: [
    { at: 0, deviation: 0.001 },
    { at: 2, deviation: 0.01 },
  ],
  Q5_K: [
    { at: 0, deviation: 0.0005 },
    { at: 2, deviation: 0.01 },
  ],
  // Below 2^-14, as real files have it.
  Q6_K: [{ at: 208, deviation: 0.00003 }],
}

export function packedMatrix(type: PackedType, shape: readonly [number, number], seed: number) {
  const { blockBytes, blockWeights } = ggufTypeByName(type)!
  const count = (shape[0] * shape[1]) / blockWeights
  const blocks = Uint8Array.from(integers(count * blockBytes, seed, 256))
  HALVES[type].forEach(({ at, deviation }, place) => {
    normals(count, seed + place + 1, deviation).forEach((number, block) => {
      const bits = float32ToFloat16Bits(number)
      blocks.set([bits & 0xff, bits >> 8], block * blockBytes + at)
    })
  })
  if (type === 'BF16') blocks.set(bytesOf(float32ToBfloat16(normals(count, seed + 1, 0.3))))
  return { type, shape, blocks, values: dequantise(type, blocks) }
}
