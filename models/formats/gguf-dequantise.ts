/**
 * Packed weights of a GGUF file to float32. Quantised types come in blocks of 32 weights with one scale each
 * (gguf-blocks.ts) or in super-blocks of 256 whose own scales are packed too (gguf-k-blocks.ts). Products of a
 * scale and a code are exact in double, so each weight is rounded once, as ggml's reference does.
 * https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c
 */
import { FormatError } from '../errors.ts'
import { type BlockDecoder, q4_0, q4_1, q5_0, q5_1, q8_0 } from './gguf-blocks.ts'
import { q2_k, q3_k, q4_k, q5_k, q6_k } from './gguf-k-blocks.ts'
import { type GgufType, ggufTypeByName } from './gguf-types.ts'
import { bfloat16ToFloat32, float16ToFloat32 } from './half.ts'

const BLOCK_DECODERS: ReadonlyMap<string, BlockDecoder> = new Map([
  ['Q4_0', q4_0],
  ['Q4_1', q4_1],
  ['Q5_0', q5_0],
  ['Q5_1', q5_1],
  ['Q8_0', q8_0],
  ['Q2_K', q2_k],
  ['Q3_K', q3_k],
  ['Q4_K', q4_k],
  ['Q5_K', q5_k],
  ['Q6_K', q6_k],
])

/** The types `dequantise` takes. */
export const DEQUANTISED_TYPES: readonly string[] = ['F32', 'F16', 'BF16', ...BLOCK_DECODERS.keys()]

/**
 * @param bytes whole blocks; a view that may begin at any byte
 * @returns every weight in the file's order, a copy
 * @throws FormatError `gguf/type` for a type that is not among DEQUANTISED_TYPES
 */
export function dequantise(type: string, bytes: Uint8Array): Float32Array {
  const known = ggufTypeByName(type)
  if (!known || !DEQUANTISED_TYPES.includes(type)) {
    throw new FormatError(
      'gguf/type',
      `Weights of type ${type} cannot be read; supported are ${DEQUANTISED_TYPES.join(', ')}.`,
    )
  }
  if (bytes.length % known.blockBytes !== 0) {
    throw new RangeError(`${bytes.length} bytes are no whole number of ${type} blocks`)
  }
  const decode = BLOCK_DECODERS.get(type)
  return decode ? decodeBlocks(bytes, known, decode) : decodeFloats(type, bytes)
}

function decodeBlocks(
  bytes: Uint8Array,
  { blockBytes, blockWeights }: GgufType,
  decode: BlockDecoder,
): Float32Array {
  const blocks = bytes.length / blockBytes
  const weights = new Float32Array(blocks * blockWeights)
  for (let block = 0; block < blocks; block++) {
    decode(bytes, block * blockBytes, weights, block * blockWeights)
  }
  return weights
}

function decodeFloats(type: string, bytes: Uint8Array): Float32Array {
  // A copy begins at byte 0 of its own buffer, so any element type may be laid over it.
  const { buffer } = new Uint8Array(bytes)
  if (type === 'F32') return new Float32Array(buffer)
  return type === 'F16'
    ? float16ToFloat32(new Uint16Array(buffer))
    : bfloat16ToFloat32(new Uint16Array(buffer))
}
