/**
 * Products by tiles through workgroup memory: what GPUs reward. A tile's numbers lie along k first, in vectors of four
 * rows (or columns), so that an invocation reads vectors of both operands and multiplies each with each. Operands that
 * lie the other way in memory are turned in registers, a block of 4 x 4 at a time.
 *
 * A tile may be in float16, clamped to its range, which halves what goes through workgroup memory: weights, and a forward
 * product's activations. Gradients are not, which would need scaling. Products and sums are float32 always.
 */
import { PackedTensor } from '../../../plan/packed-tensor.ts'
import { completed, type MatmulRequest, outputsOf, quadOfB, type Source, store, times } from './request.ts'

export interface TileShape {
  /** Of y, a workgroup's. */
  readonly rows: number
  readonly columns: number
  /** Of the sum, at a time. */
  readonly depth: number
  /** Of y, an invocation's: multiples of 4. */
  readonly ownRows: number
  readonly ownColumns: number
}

/** By name; workgroup memory stays below the 16 KB that every device has. */
export const TILES = {
  // A register tile that keeps the arithmetic busy, where there are tiles enough to fill a GPU.
  tiled64: { rows: 64, columns: 64, depth: 16, ownRows: 8, ownColumns: 8 },
  tiled: { rows: 64, columns: 64, depth: 16, ownRows: 8, ownColumns: 4 },
  // Small results: more workgroups.
  tiled32: { rows: 32, columns: 32, depth: 32, ownRows: 4, ownColumns: 4 },
  // Of gate and up half the columns each: an invocation has four of both.
  gated: { rows: 32, columns: 64, depth: 16, ownRows: 4, ownColumns: 8 },
} as const satisfies Record<string, TileShape>

/** Whether every operand can be read in vectors. */
export function fitsTiles({ m, n, k, a, aLayout, b, bLayout }: MatmulRequest): boolean {
  const aligned = a.offsetBytes % 16 === 0 && (b instanceof PackedTensor || b.offsetBytes % 16 === 0)
  return aligned && (aLayout === 'mk' ? k : m) % 4 === 0 && (bLayout === 'nk' ? k : n) % 4 === 0
}

/** Which operands' tiles may be in float16: of x Wᵀ both, of dy W the weights. */
const halvesOf = ({ aLayout, bLayout }: MatmulRequest) => ({
  a: aLayout === 'mk' && bLayout === 'nk',
  b: aLayout === 'mk',
})

export const fitsHalves = (request: MatmulRequest): boolean => fitsTiles(request) && halvesOf(request).b

/**
 * @param half in float16 where `fitsHalves`
 * @throws TypeError where `fitsTiles` says no
 */
export function tiled(request: MatmulRequest, shape: TileShape, half = false): Source {
  if (!fitsTiles(request)) throw new TypeError(`${request.name}: no whole vectors to tile`)
  const { m, n, k, aLayout, bLayout, gated } = request
  const outputs = outputsOf(request)
  const { rows, columns, depth, ownRows, ownColumns } = shape
  const across = columns / ownColumns
  const size = across * (rows / ownRows)
  const plainRow = (first: string, row: string) => `${first} + ${row}`
  /** The second half of a gated tile's columns are up's. */
  const bRow = gated
    ? (first: string, row: string) =>
        `${first} + (${row}) % ${columns / 2}u + (${row}) / ${columns / 2}u * ${n}u`
    : plainRow
  const staged = half ? halvesOf(request) : { a: false, b: false }
  const vector = (operand: 'a' | 'b') => (staged[operand] ? 'vec4<f16>' : 'vec4<f32>')
  const read = (operand: 'a' | 'b', at: string) =>
    staged[operand] ? `vec4<f32>(${operand}Tile[${at}])` : `${operand}Tile[${at}]`
  const aQuad = (quad: string) => `a[${quad}]`
  const bQuad = (quad: string) => quadOfB(request, quad)
  const loads = [
    load('a', aLayout === 'mk', m, k, rows, depth, size, aQuad, plainRow, staged.a),
    load('b', bLayout === 'nk', outputs, k, columns, depth, size, bQuad, bRow, staged.b),
  ]
  const rowVectors = times(ownRows / 4, (v) => v)
  const columnVectors = times(ownColumns / 4, (v) => v)
  const acc = (column: number) => (row: number) => `acc${column}_${row}`
  const multiply = columnVectors.flatMap((column) => [
    `      let b${column} = ${read('b', `tk * ${columns / 4}u + id.x + ${column * across}u`)};`,
    ...rowVectors.flatMap((row) =>
      times(4, (i) => `      ${acc(column)(row * 4 + i)} += a${row}[${i}] * b${column};`),
    ),
  ])
  const stores = gated
    ? [
        `  let nOwn = nTile + id.x * 4u;
  { let n0 = min(nOwn, ${n - 4}u);
${completed(request, ownRows, acc(0))} }
  { let n0 = min(nOwn, ${n - 4}u) + ${n}u;
${completed(request, ownRows, acc(1))} }
  let n0 = nOwn;
  if (n0 < ${n}u && m0 < ${m}u) {
${store(request, ownRows, acc(0), acc(1))}
  }`,
      ]
    : columnVectors.map(
        (column) => `  {
  let n0 = nTile + (id.x + ${column * across}u) * 4u;
  if (n0 < ${n}u && m0 < ${m}u) {
${completed(request, ownRows, acc(column))}
${store(request, ownRows, acc(column))}
  } }`,
      )
  return {
    aVector: 4,
    bVector: 4,
    ...(half && { halves: true as const }),
    workgroups: [Math.ceil(n / (gated ? columns / 2 : columns)), Math.ceil(m / rows), 1],
    body: `var<workgroup> aTile: array<${vector('a')}, ${(depth * rows) / 4}>;
var<workgroup> bTile: array<${vector('b')}, ${(depth * columns) / 4}>;
@compute @workgroup_size(${across}, ${rows / ownRows})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
  let aFirst = workgroup.y * ${rows}u;
  let bFirst = workgroup.x * ${gated ? columns / 2 : columns}u;
  let nTile = bFirst;
  let m0 = aFirst + id.y * ${ownRows}u;
${columnVectors.flatMap((column) => times(ownRows, (row) => `  var ${acc(column)(row)} = vec4<f32>();`)).join('\n')}
  for (var k0 = 0u; k0 < ${k}u; k0 += ${depth}u) {
${loads.join('\n')}
    workgroupBarrier();
    for (var tk = 0u; tk < ${depth}u; tk++) {
${rowVectors.map((row) => `      let a${row} = ${read('a', `tk * ${rows / 4}u + id.y * ${ownRows / 4}u + ${row}u`)};`).join('\n')}
${multiply.join('\n')}
    }
    workgroupBarrier();
  }
${stores.join('\n')}
}`,
  }
}

/** A number beyond float16's largest would be infinite there. */
const [LOWEST, HIGHEST] = ['vec4<f32>(-65504.0f)', 'vec4<f32>(65504.0f)']

/** Fills one operand's tile [depth, width]. `alongK`: its memory is [length, k], and else [k, length]. */
function load(
  name: 'a' | 'b',
  alongK: boolean,
  length: number,
  k: number,
  width: number,
  depth: number,
  size: number,
  quadAt: (quad: string) => string,
  rowAt: (first: string, row: string) => string,
  half: boolean,
): string {
  const across = width / 4
  const stored = (numbers: string) => (half ? `vec4<f16>(clamp(${numbers}, ${LOWEST}, ${HIGHEST}))` : numbers)
  if (!alongK) {
    return `    for (var e = local; e < ${depth * across}u; e += ${size}u) {
      let tk = e / ${across}u;
      let at = min(k0 + tk, ${k - 1}u) * ${length / 4}u + min(${name}First / 4u + e % ${across}u, ${length / 4 - 1}u);
      ${name}Tile[e] = ${stored(`select(vec4<f32>(), ${quadAt('at')}, k0 + tk < ${k}u)`)};
    }`
  }
  const deep = depth / 4
  return `    for (var e = local; e < ${deep * across}u; e += ${size}u) {
      let tk = e % ${deep}u * 4u; let quad = e / ${deep}u;
      let kQuad = min((k0 + tk) / 4u, ${k / 4 - 1}u);
      let inside = k0 + tk < ${k}u;
${times(4, (i) => `      let v${i} = select(vec4<f32>(), ${quadAt(`min(${rowAt(`${name}First`, `quad * 4u + ${i}u`)}, ${length - 1}u) * ${k / 4}u + kQuad`)}, inside);`).join('\n')}
${times(4, (i) => `      ${name}Tile[(tk + ${i}u) * ${across}u + quad] = ${stored(`vec4<f32>(v0[${i}], v1[${i}], v2[${i}], v3[${i}])`)};`).join('\n')}
    }`
}
