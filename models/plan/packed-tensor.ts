/**
 * A frozen matrix that stays on the GPU as its file packs it, and the WGSL that unpacks four of its weights where a
 * kernel reads them. Layout of the words: models/formats/gguf-packed.ts.
 */
import type { PackedType, SplitBlocks } from '../formats/gguf-packed.ts'
import type { Tensor } from '../ops/ops.ts'
import { PlanTensor } from './plan-tensor.ts'
import type { Binding } from './recorder.ts'

export class PackedTensor implements Tensor {
  /** What its weights are once unpacked. */
  readonly dtype = 'float32'
  readonly packing: PackedType
  /** [out, in] */
  readonly shape: readonly [number, number]
  readonly codes: PlanTensor
  /** Undefined for F16. */
  readonly scales: PlanTensor | undefined

  /** @param place makes persistent storage that holds the words */
  constructor(
    packing: PackedType,
    shape: readonly [number, number],
    { codes, scales }: SplitBlocks,
    place: (words: Uint32Array<ArrayBuffer>) => PlanTensor,
  ) {
    this.packing = packing
    this.shape = shape
    this.codes = place(codes)
    this.scales = scales.length > 0 ? place(scales) : undefined
  }

  /** Everything that is to be freed with it. */
  get parts(): readonly PlanTensor[] {
    return this.scales ? [this.codes, this.scales] : [this.codes]
  }

  /** The bindings that `unpackQuad` reads. */
  reads(name: string): Record<string, Binding> {
    return {
      [`${name}Codes`]: { tensor: this.codes, vector: 1, scalar: 'u32' },
      ...(this.scales && { [`${name}Scales`]: { tensor: this.scales, vector: 1, scalar: 'u32' } }),
    }
  }

  /**
   * `fn <name>Quad(quad: u32) -> vec4<f32>`: weights 4 quad to 4 quad + 3 of the matrix, row-major. Scale times code
   * is exact in float32, so each weight is rounded at most once, as `dequantise` rounds it.
   */
  unpackQuad(name: string): string {
    return `fn ${name}Quad(quad: u32) -> vec4<f32> {\n${UNPACK[this.packing](name)}\n}\n`
  }
}

const nibbles = (name: string) => `  let block = quad / 8u;
  let word = ${name}Codes[block * 4u + quad % 4u];
  let shift = (quad & 4u) + vec4<u32>(0u, 8u, 16u, 24u);
  let codes = vec4<f32>((vec4<u32>(word) >> shift) & vec4<u32>(15u));`

const scaleOf = (name: string) => `unpack2x16float(${name}Scales[block / 2u] >> (16u * (block % 2u))).x`

const UNPACK: Readonly<Record<PackedType, (name: string) => string>> = {
  Q4_0: (name) => `${nibbles(name)}
  return ${scaleOf(name)} * (codes - 8.0f);`,
  Q4_1: (name) => `${nibbles(name)}
  let scale = unpack2x16float(${name}Scales[block]);
  return scale.x * codes + scale.y;`,
  Q8_0: (name) => `  let block = quad / 8u;
  let word = bitcast<vec4<i32>>(vec4<u32>(${name}Codes[quad]) << vec4<u32>(24u, 16u, 8u, 0u));
  return ${scaleOf(name)} * vec4<f32>(word >> vec4<u32>(24u));`,
  F16: (name) =>
    `  return vec4<f32>(unpack2x16float(${name}Codes[2u * quad]), unpack2x16float(${name}Codes[2u * quad + 1u]));`,
}

/** A matrix operand: plain float32, or packed. */
export type Matrix = PlanTensor | PackedTensor

/** A matrix handed to a plan must be a plan's; another executor's is a programming error. */
export function asMatrix(tensor: Tensor): Matrix {
  if (!(tensor instanceof PlanTensor) && !(tensor instanceof PackedTensor))
    throw new TypeError('a tensor of another engine was given to the plan executor')
  return tensor
}
