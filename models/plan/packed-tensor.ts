/**
 * A frozen matrix that stays on the GPU as its file packs it, and the WGSL that unpacks four of its weights where a
 * kernel reads them. Layout of the words: models/formats/gguf-packed.ts.
 */
import type { PackedType } from '../formats/gguf-packed.ts'
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
  /** Undefined for F16 and BF16. */
  readonly scales: PlanTensor | undefined

  /** @param scales none for F16 and BF16 */
  constructor(
    packing: PackedType,
    shape: readonly [number, number],
    codes: PlanTensor,
    scales: PlanTensor | undefined,
  ) {
    this.packing = packing
    this.shape = shape
    this.codes = codes
    this.scales = scales
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
    return UNPACK[this.packing].group === 32
  }

  /**
   * `fn <name>Quad(quad: u32) -> vec4<f32>`: weights 4 quad to 4 quad + 3 of the matrix, row-major; where weights
   * share scales, `<name>Scale(group)` gives scale and minimum, and `<name>Codes4(quad)` what they are applied to.
   * In blocks of 32 there is also `<name>Two(block, q)`: the codes of its quads q and q + 4, which 4-bit types keep in
   * one word.
   * Scale times code is exact in float32, so each weight is rounded at most once, as `dequantise` rounds it. WGSL lets
   * a driver read a binary16 below 2^-14 as 0: at most 6.1e-5 times the code is lost, in the K types nothing.
   */
  unpack(name: string): string {
    const { scale, codes, two, group = 0 } = UNPACK[this.packing]
    const quad = (body: string) => `fn ${name}Quad(quad: u32) -> vec4<f32> { ${body} }\n`
    if (!scale) return quad(codes(`${name}Codes`))
    const pair = `${name}Pair`
    const both = two
      ? two(`${name}Codes`, pair)
      : `return ${pair}(${name}Codes4(block * 8u + q), ${name}Codes4(block * 8u + q + 4u));`
    const blocks = `struct ${pair} { low: vec4<f32>, high: vec4<f32> };
fn ${name}Two(block: u32, q: u32) -> ${pair} { ${both} }
`
    return `${group === 32 ? blocks : ''}fn ${name}Scale(group: u32) -> vec2<f32> { ${scale(`${name}Scales`)} }
fn ${name}Codes4(quad: u32) -> vec4<f32> { ${codes(`${name}Codes`)} }
${quad(`let scale = ${name}Scale(quad / ${group / 4}u); return scale.x * ${name}Codes4(quad) + scale.y;`)}`
  }
}

interface Unpacking {
  /** Weights that share a scale. */
  readonly group?: 16 | 32
  readonly scale?: (scales: string) => string
  readonly codes: (codes: string) => string
  /** Quads q and q + 4 of a block at once, as a `pair`, where that is cheaper than one after another. */
  readonly two?: (codes: string, pair: string) => string
}

const ofTwoBlocks = (scales: string) =>
  `let scale = unpack2x16float(${scales}[group / 2u] >> (16u * (group % 2u))).x;`

const scaleAndMinimum = (scales: string) => `return unpack2x16float(${scales}[group]);`

/** Low four bits, from the four words that end a block of `words`. */
const nibbles = (codes: string, words: number) =>
  `((vec4<u32>(${codes}[quad / 8u * ${words}u + ${words - 4}u + quad % 4u]) >> ((quad & 4u) + vec4<u32>(0u, 8u, 16u, 24u))) & vec4<u32>(15u))`

/** One bit of each, from word `at` of a block of `words`. */
const bits = (codes: string, words: number, at: number) =>
  `((vec4<u32>(${codes}[quad / 8u * ${words}u + ${at}u]) >> ((quad & 7u) * 4u + vec4<u32>(0u, 1u, 2u, 3u))) & vec4<u32>(1u))`

/** Two bits of each, from words `at` and `at` + 1 of a block of `words`. */
const pairs = (codes: string, words: number, at: number) =>
  `((vec4<u32>(${codes}[quad / 8u * ${words}u + ${at}u + (quad & 4u) / 4u]) >> ((quad & 3u) * 8u + vec4<u32>(0u, 2u, 4u, 6u))) & vec4<u32>(3u))`

const FOUR_BITS = (codes: string) => `return vec4<f32>(${nibbles(codes, 4)});`
const TWO_OF_FOUR_BITS = (codes: string, pair: string) => `let word = vec4<u32>(${codes}[block * 4u + q]);
  let low = (word >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(15u);
  let high = (word >> vec4<u32>(4u, 12u, 20u, 28u)) & vec4<u32>(15u);
  return ${pair}(vec4<f32>(low), vec4<f32>(high));`
const FIVE_BITS = (codes: string) =>
  `return vec4<f32>(${nibbles(codes, 5)} | (${bits(codes, 5, 0)} << vec4<u32>(4u)));`

/** Of Q4_K and Q5_K: the super-block's two numbers times bytes of eight scales and eight minimums. */
const K_GROUPS_OF_32 = (scales: string) => `let at = group / 8u * 6u;
  let word = at + 2u + (group & 4u) / 4u;
  let shift = 8u * (group & 3u);
  let scale = bitcast<f32>(${scales}[at]) * f32((${scales}[word] >> shift) & 255u);
  return vec2<f32>(scale, -bitcast<f32>(${scales}[at + 1u]) * f32((${scales}[word + 2u] >> shift) & 255u));`

/** Of Q3_K and Q6_K: the super-block's number times a signed byte; codes stand `zero` above what they mean. */
const signedGroups = (scales: string, zero: number) => `let at = group / 16u * 5u;
  let byte = bitcast<i32>(${scales}[at + 1u + (group & 12u) / 4u] << (24u - 8u * (group & 3u))) >> 24u;
  let scale = bitcast<f32>(${scales}[at]) * f32(byte);
  return vec2<f32>(scale, ${-zero}.0f * scale);`

const UNPACK: Readonly<Record<PackedType, Unpacking>> = {
  Q4_0: {
    group: 32,
    scale: (scales) => `${ofTwoBlocks(scales)} return vec2<f32>(scale, -8.0f * scale);`,
    codes: FOUR_BITS,
    two: TWO_OF_FOUR_BITS,
  },
  Q4_1: { group: 32, scale: scaleAndMinimum, codes: FOUR_BITS, two: TWO_OF_FOUR_BITS },
  Q5_0: {
    group: 32,
    scale: (scales) => `${ofTwoBlocks(scales)} return vec2<f32>(scale, -16.0f * scale);`,
    codes: FIVE_BITS,
  },
  Q5_1: { group: 32, scale: scaleAndMinimum, codes: FIVE_BITS },
  Q8_0: {
    group: 32,
    scale: (scales) => `${ofTwoBlocks(scales)} return vec2<f32>(scale, 0.0f);`,
    // Each byte goes to the top, so that its sign comes down with it.
    codes: (codes) => `let bytes = vec4<u32>(${codes}[quad]) << vec4<u32>(24u, 16u, 8u, 0u);
  return vec4<f32>(bitcast<vec4<i32>>(bytes) >> vec4<u32>(24u));`,
  },
  F16: {
    codes: (codes) =>
      `return vec4<f32>(unpack2x16float(${codes}[2u * quad]), unpack2x16float(${codes}[2u * quad + 1u]));`,
  },
  // The upper half of a binary32.
  BF16: {
    codes: (codes) => `let low = ${codes}[2u * quad];
  let high = ${codes}[2u * quad + 1u];
  return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));`,
  },
  Q2_K: {
    group: 16,
    scale: (scales) => `let at = group / 16u * 6u;
  let byte = (${scales}[at + 2u + (group & 12u) / 4u] >> (8u * (group & 3u))) & 255u;
  return vec2<f32>(bitcast<f32>(${scales}[at]) * f32(byte & 15u), -bitcast<f32>(${scales}[at + 1u]) * f32(byte >> 4u));`,
    codes: (codes) => `return vec4<f32>(${pairs(codes, 2, 0)});`,
  },
  Q3_K: {
    group: 16,
    scale: (scales) => signedGroups(scales, 4),
    codes: (codes) => `return vec4<f32>(${pairs(codes, 3, 1)} | (${bits(codes, 3, 0)} << vec4<u32>(2u)));`,
  },
  Q4_K: { group: 32, scale: K_GROUPS_OF_32, codes: FOUR_BITS, two: TWO_OF_FOUR_BITS },
  Q5_K: { group: 32, scale: K_GROUPS_OF_32, codes: FIVE_BITS },
  Q6_K: {
    group: 16,
    scale: (scales) => signedGroups(scales, 32),
    codes: (codes) => `return vec4<f32>(${nibbles(codes, 6)} | (${pairs(codes, 6, 0)} << vec4<u32>(4u)));`,
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
