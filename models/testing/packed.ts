/** Matrices in ggml's blocks made from a seed, with the float32 values that they stand for. */
import { dequantise } from '../formats/gguf-dequantise.ts'
import type { PackedType } from '../formats/gguf-packed.ts'
import { ggufTypeByName } from '../formats/gguf-types.ts'
import { float32ToFloat16Bits } from '../formats/half.ts'
import { integers, normals } from './normals.ts'

/** Bytes of binary16 numbers at the head of each block, and how large they are where weights are about 0.3. */
const HEADS: Readonly<Record<PackedType, readonly number[]>> = {
  Q4_0: [0.06],
  Q4_1: [0.06, 0.4],
  Q8_0: [0.004],
  F16: [0.3],
}

export function packedMatrix(type: PackedType, shape: readonly [number, number], seed: number) {
  const { blockBytes, blockWeights } = ggufTypeByName(type)!
  const count = (shape[0] * shape[1]) / blockWeights
  const blocks = Uint8Array.from(integers(count * blockBytes, seed, 256))
  HEADS[type].forEach((deviation, place) => {
    normals(count, seed + place + 1, deviation).forEach((number, block) => {
      const bits = float32ToFloat16Bits(number)
      blocks.set([bits & 0xff, bits >> 8], block * blockBytes + 2 * place)
    })
  })
  return { type, shape, blocks, values: dequantise(type, blocks) }
}
