/**
 * Products from register tiles without workgroup memory (`direct`), and with the sum shared out over a workgroup
 * (`splitK`): both walk over k with the same loop.
 */
import { PackedTensor } from '../../../plan/packed-tensor.ts'
import { lineOfWorkgroups } from '../../../plan/recorder.ts'
import {
  type AccName,
  completed,
  type MatmulRequest,
  type Norming,
  outputsOf,
  quadOfB,
  rowOfA,
  type Source,
  sums,
  TILE,
  times,
} from './request.ts'

/** Invocations that share one tile's sum. */
export const SPLIT = 64

/** The sum over k of one 4 x 4 (or rows x 4) register tile, k from `first` in steps of `step` (in units of `kStep`). */
function registerLoop(
  request: MatmulRequest,
  rows: number,
  first: string,
  step: string,
  acc: AccName = (row) => `acc${row}`,
  norming: Norming = null,
): { code: string; aVector: 1 | 4; bVector: 1 | 4 } {
  const { m, k, aLayout, bLayout } = request
  const n = outputsOf(request)
  const row = (i: number) => `min(m0 + ${i}u, ${m - 1}u)`
  const column = (j: number) => `min(n0 + ${j}u, ${n - 1}u)`
  const lines: string[] = []
  if (aLayout === 'mk' && bLayout === 'nk' && k % 4 === 0) {
    const k4 = k / 4
    for (let i = 0; i < rows; i++) lines.push(`  let aRow${i} = ${row(i)} * ${k4}u;`)
    for (let j = 0; j < TILE; j++) lines.push(`  let bRow${j} = ${column(j)} * ${k4}u;`)
    // In one step after another a row's blocks are met whole: their scales are read once, not for every quad.
    const byBlock = request.b instanceof PackedTensor && request.b.inBlocks && step === '1u'
    if (byBlock) {
      lines.push(`  for (var block = 0u; block < ${k4 / 8}u; block++) {`)
      for (let j = 0; j < TILE; j++) lines.push(`    let scale${j} = bScale(bRow${j} / 8u + block);`)
      lines.push('  for (var k = block * 8u; k < block * 8u + 8u; k++) {')
    } else lines.push(`  for (var k = ${first}; k < ${k4}u; k += ${step}) {`)
    for (let j = 0; j < TILE; j++) {
      const quad = `bRow${j} + k`
      const weights = byBlock ? `scale${j}.x * bCodes4(${quad}) + scale${j}.y` : quadOfB(request, quad)
      lines.push(`    let b${j} = ${weights};`)
    }
    if (norming) lines.push('    let gain = norm[k];')
    for (let i = 0; i < rows; i++) {
      lines.push(rowOfA(norming, `a${i}`, i, `a[aRow${i} + k]`, 'gain'))
      lines.push(`    ${acc(i)} += vec4<f32>(${times(TILE, (j) => `dot(a${i}, b${j})`).join(', ')});`)
    }
    lines.push(byBlock ? '  } }' : '  }')
    return { code: lines.join('\n'), aVector: 4, bVector: 4 }
  }
  if (aLayout === 'mk' && bLayout === 'kn' && k % 4 === 0 && n % 4 === 0) {
    const k4 = k / 4
    for (let i = 0; i < rows; i++) lines.push(`  let aRow${i} = ${row(i)} * ${k4}u;`)
    lines.push(`  let column = min(n0, ${n - 4}u) / 4u;`)
    lines.push(`  for (var k = ${first}; k < ${k4}u; k += ${step}) {`)
    for (let q = 0; q < 4; q++)
      lines.push(`    let b${q} = ${quadOfB(request, `(k * 4u + ${q}u) * ${n / 4}u + column`)};`)
    for (let i = 0; i < rows; i++) {
      lines.push(`    let a${i} = a[aRow${i} + k];`)
      lines.push(`    ${acc(i)} += a${i}.x * b0 + a${i}.y * b1 + a${i}.z * b2 + a${i}.w * b3;`)
    }
    lines.push('  }')
    return { code: lines.join('\n'), aVector: 4, bVector: 4 }
  }
  if (aLayout === 'km' && bLayout === 'kn' && m % 4 === 0 && n % 4 === 0 && rows === TILE) {
    lines.push(`  let row = min(m0, ${m - 4}u) / 4u;`)
    lines.push(`  let column = min(n0, ${n - 4}u) / 4u;`)
    lines.push(`  for (var k = ${first}; k < ${k}u; k += ${step}) {`)
    lines.push(`    let av = a[k * ${m / 4}u + row];`)
    lines.push(`    let bv = ${quadOfB(request, `k * ${n / 4}u + column`)};`)
    for (let i = 0; i < rows; i++) lines.push(`    ${acc(i)} += av[${i}] * bv;`)
    lines.push('  }')
    return { code: lines.join('\n'), aVector: 4, bVector: 4 }
  }
  if (aLayout === 'mk' && bLayout === 'kn' && n % 4 === 0) {
    lines.push(`  let column = min(n0, ${n - 4}u) / 4u;`)
    lines.push(`  for (var k = ${first}; k < ${k}u; k += ${step}) {`)
    lines.push(`    let bv = ${quadOfB(request, `k * ${n / 4}u + column`)};`)
    for (let i = 0; i < rows; i++) lines.push(`    ${acc(i)} += a[${row(i)} * ${k}u + k] * bv;`)
    lines.push('  }')
    return { code: lines.join('\n'), aVector: 1, bVector: 4 }
  }
  if (request.b instanceof PackedTensor)
    throw new TypeError(`${request.name}: no packed weight beside ${aLayout}`)
  const aAt = (i: number) => (aLayout === 'mk' ? `a[${row(i)} * ${k}u + k]` : `a[k * ${m}u + ${row(i)}]`)
  const bAt = (j: number) =>
    bLayout === 'nk' ? `b[${column(j)} * ${k}u + k]` : `b[k * ${n}u + ${column(j)}]`
  lines.push(`  for (var k = ${first}; k < ${k}u; k += ${step}) {`)
  lines.push(`    let bv = vec4<f32>(${times(TILE, bAt).join(', ')});`)
  for (let i = 0; i < rows; i++) lines.push(`    ${acc(i)} += ${aAt(i)} * bv;`)
  lines.push('  }')
  return { code: lines.join('\n'), aVector: 1, bVector: 1 }
}

export function direct(request: MatmulRequest): Source {
  const { m, n } = request
  // Codes cost as much to unpack as four rows to multiply: what was unpacked serves eight.
  const rows = Math.min(m, request.b instanceof PackedTensor && request.b.inBlocks ? 2 * TILE : TILE)
  const columns = Math.ceil(n / TILE)
  const bands = Math.ceil(m / rows)
  // A single row (decoding) gives every invocation of a workgroup columns; otherwise 8 x 8 tiles.
  const [sizeX, sizeY] = bands < 8 ? [64, 1] : [8, 8]
  const { aVector, bVector } = registerLoop(request, rows, '0u', '1u')
  return {
    aVector,
    bVector,
    workgroups: [Math.ceil(columns / sizeX), Math.ceil(bands / sizeY), 1],
    body: `@compute @workgroup_size(${sizeX}, ${sizeY})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let nOwn = id.x * ${TILE}u;
  let m0 = id.y * ${rows}u;
  if (nOwn >= ${n}u || m0 >= ${m}u) { return; }
${sums(request, rows, (acc, norming) => `${registerLoop(request, rows, '0u', '1u', acc, norming).code}\n${completed(request, rows, acc)}`, '')}
}`,
  }
}

export function splitK(request: MatmulRequest): Source {
  const { m, n } = request
  const rows = Math.min(m, TILE)
  const columns = Math.ceil(n / TILE)
  const workgroups = lineOfWorkgroups(columns * Math.ceil(m / rows))
  const walk = (acc: AccName, norming: Norming) =>
    registerLoop(request, rows, 'local', `${SPLIT}u`, acc, norming)
  const { aVector, bVector } = walk(String, null)
  /** A tree over the workgroup, in a fixed order; the memory is used again for the next sum. */
  const reduced = (sums: readonly string[]) => `  workgroupBarrier();
${sums.map((sum, i) => `  partial[local + ${i * SPLIT}u] = ${sum};`).join('\n')}
  workgroupBarrier();
  for (var width = ${SPLIT / 2}u; width > 0u; width >>= 1u) {
    if (local < width) {
${sums.map((_, i) => `      partial[local + ${i * SPLIT}u] += partial[local + ${i * SPLIT}u + width];`).join('\n')}
    }
    workgroupBarrier();
  }
${sums.map((sum, i) => `  ${sum} = partial[${i * SPLIT}];`).join('\n')}`
  const sum = (acc: AccName, norming: Norming) => {
    const own = [...times(rows, acc), ...(norming === 'squares' ? ['squares'] : [])]
    return `${walk(acc, norming).code}\n${reduced(own)}\n${completed(request, rows, acc)}`
  }
  return {
    aVector,
    bVector,
    workgroups,
    body: `var<workgroup> partial: array<vec4<f32>, ${SPLIT * (request.norm ? rows + 1 : rows)}>;
@compute @workgroup_size(${SPLIT})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let tile = workgroup.x + workgroup.y * ${workgroups[0]}u;
  let nOwn = (tile % ${columns}u) * ${TILE}u;
  let m0 = (tile / ${columns}u) * ${rows}u;
${sums(request, rows, sum, `  if (local != 0u || n0 >= ${n}u || m0 >= ${m}u) { return; }`)}
}`,
  }
}
