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

  /** The bindings that `unpack` reads. */
  reads(name: string): Record<string, Binding> {
    return {
      [`${name}Codes`]: { tensor: this.codes, vector: 1, scalar: 'u32' },
      ...(this.scales && { [`${name}Scales`]: { tensor: this.scales, vector: 1, scalar: 'u32' } }),
    }
  }

  /** Whether weights share scales by blocks of 32, which a kernel that walks along a row may read once a block. */
  get inBlocks(): boolean {
    return this.scales !== undefined
  }

  /**
   * `fn <name>Quad(quad: u32) -> vec4<f32>`: weights 4 quad to 4 quad + 3 of the matrix, row-major; where it is in
   * blocks, `<name>Scale(block)` gives scale and minimum, and `<name>Codes4(quad)` what they are applied to. Scale
   * times code is exact in float32, so each weight is rounded at most once, as `dequantise` rounds it. WGSL lets a
   * driver read a binary16 below 2^-14 as 0: at most 6.1e-5 times the code is lost.
   */
  unpack(name: string): string {
    const { scale, codes } = UNPACK[this.packing]
    const quad = (body: string) => `fn ${name}Quad(quad: u32) -> vec4<f32> { ${body} }\n`
    if (!scale) return quad(codes(`${name}Codes`))
    return `fn ${name}Scale(block: u32) -> vec2<f32> { ${scale(`${name}Scales`)} }
fn ${name}Codes4(quad: u32) -> vec4<f32> { ${codes(`${name}Codes`)} }
${quad(`let scale = ${name}Scale(quad / 8u); return scale.x * ${name}Codes4(quad) + scale.y;`)}`
  }
}

interface Unpacking {
  readonly scale?: (scales: string) => string
  readonly codes: (codes: string) => string
}

const ofTwoBlocks = (scales: string) =>
  `let scale = unpack2x16float(${scales}[block / 2u] >> (16u * (block % 2u))).x;`

const nibbles = (codes: string) => `let word = ${codes}[quad / 8u * 4u + quad % 4u];
  return vec4<f32>((vec4<u32>(word) >> ((quad & 4u) + vec4<u32>(0u, 8u, 16u, 24u))) & vec4<u32>(15u));`

const UNPACK: Readonly<Record<PackedType, Unpacking>> = {
  Q4_0: {
    scale: (scales) => `${ofTwoBlocks(scales)} return vec2<f32>(scale, -8.0f * scale);`,
    codes: nibbles,
  },
  Q4_1: { scale: (scales) => `return unpack2x16float(${scales}[block]);`, codes: nibbles },
  Q8_0: {
    scale: (scales) => `${ofTwoBlocks(scales)} return vec2<f32>(scale, 0.0f);`,
    // Each byte goes to the top, so that its sign comes down with it.
    codes: (codes) => `let bytes = vec4<u32>(${codes}[quad]) << vec4<u32>(24u, 16u, 8u, 0u);
  return vec4<f32>(bitcast<vec4<i32>>(bytes) >> vec4<u32>(24u));`,
  },
  F16: {
    codes: (codes) =>
      `return vec4<f32>(unpack2x16float(${codes}[2u * quad]), unpack2x16float(${codes}[2u * quad + 1u]));`,
  },
}

/** A matrix operand: plain float32, or packed. */
export type Matrix = PlanTensor | PackedTensor

/** A matrix handed to a plan must be a plan's; another executor's is a programming error. */
export function asMatrix(tensor: Tensor): Matrix {
  if (!(tensor instanceof PlanTensor) && !(tensor instanceof PackedTensor))
    throw new TypeError('a tensor of another engine was given to the plan executor')
  return tensor
}
