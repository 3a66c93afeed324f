/**
 * Products whose narrower operand is read once a subgroup: each lane loads a part of it, and all lanes get every part
 * by broadcast, so a register tile of 8 x 4 costs five loads where `direct` makes twelve. On a processor that plays
 * GPU, where a load costs as much as a hundred multiplications, that is most of the time.
 *
 * Four forms, by what is narrow; `lanes` is a number that no subgroup of the device is smaller than, 4 or 8:
 * - `wide`: eight rows of a, lanes over columns in fours. A layer forward or backward.
 * - `few`: up to four rows of a (decoding); lanes share out the blocks of a row instead of its rows.
 * - `rows`: few columns (x Aᵀ, dy B), lanes over rows.
 * - `gradient`: aᵀ b with one side few columns wide, lanes over the other side in fours.
 */
import { PackedTensor } from '../../../plan/packed-tensor.ts'
import {
  type AccName,
  completed,
  FEW,
  float,
  lowRank,
  type MatmulRequest,
  type Norming,
  outputsOf,
  quadOfB,
  rowOfA,
  type Source,
  scaled,
  stackPlaces,
  sums,
  TILE,
  times,
} from './request.ts'

type Form = 'wide' | 'few' | 'rows' | 'gradient'

/** Narrower sides than this are shared whole. */
const MAX_NARROW = 32
const ROWS = 8
const ENTRY = `@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32,
        @builtin(subgroup_invocation_id) invocation: u32`

/** How a request can be met by subgroups, or null where it cannot. */
export function subgroupForm(request: MatmulRequest): Form | null {
  const { m, n, k, a, aLayout, b, bLayout, low, bias, residual, gated, ungated } = request
  const packed = b instanceof PackedTensor
  const plain = !packed && !low && !bias && !residual && !gated && !ungated
  if (aLayout === 'km') {
    const fits = bLayout === 'kn' && m % 4 === 0 && n % 4 === 0 && Math.min(m, n) <= MAX_NARROW
    return plain && fits ? 'gradient' : null
  }
  if (k % 4 !== 0 || a.offsetBytes % 16 !== 0) return null
  if (bLayout === 'kn' && n % 4 !== 0) return null
  if (m <= FEW) return bLayout === 'nk' && k % 32 === 0 ? 'few' : null
  if (plain && n <= MAX_NARROW) return 'rows'
  return 'wide'
}

/** @throws TypeError where `subgroupForm` says null */
export function subgroup(request: MatmulRequest, lanes: number): Source {
  const form = subgroupForm(request)
  switch (form) {
    case 'wide':
      return wide(request, lanes)
    case 'few':
      return few(request, lanes)
    case 'rows':
      return narrowRows(request, lanes)
    case 'gradient':
      return gradient(request, lanes)
    case null:
      throw new TypeError(`${request.name}: no subgroup form of this product`)
  }
}

const shared = (value: string, lane: number) => `subgroupBroadcast(${value}, ${lane}u)`
const dots = (v: string, b: string) => `vec4<f32>(${times(TILE, (j) => `dot(${v}, ${b}${j})`).join(', ')})`

/** Of a few sizes the largest that leaves fewest invocations without work. */
function workgroupSize(invocations: number): number {
  const waste = (size: number) => Math.ceil(invocations / size) * size - invocations
  return [64, 48, 32].reduce((best, size) => (waste(size) < waste(best) ? size : best))
}

function wide(request: MatmulRequest, lanes: number): Source {
  const { m, n } = request
  const size = workgroupSize(Math.ceil(n / TILE))
  const vectors = sharedLowRank(request, lanes, String, [])
  return {
    aVector: 4,
    bVector: 4,
    ...vectors,
    subgroups: true,
    workgroups: [Math.ceil(n / TILE / size), Math.ceil(m / ROWS), 1],
    body: `@compute @workgroup_size(${size})
fn main(${ENTRY}) {
  let lane = invocation % ${lanes}u;
  let nOwn = (workgroup.x * ${size}u + local) * ${TILE}u;
  let m0 = workgroup.y * ${ROWS}u;
${sums(request, ROWS, (acc) => wideSum(request, lanes, acc), `  if (n0 >= ${n}u) { return; }`)}
}`,
  }
}

/** Rows of the tile that one load of all lanes covers: 8 / lanes of them. */
const partsOf = (lanes: number) => times(ROWS / lanes, (part) => part)

/** acc_i += what `add` makes of row i's four numbers `v`, which one lane has loaded for all. */
function everyRow(
  lanes: number,
  acc: AccName,
  lines: string[],
  load: (part: number) => string,
  add: string,
): void {
  for (const part of partsOf(lanes)) {
    lines.push(`    { let own = ${load(part)};`)
    for (let i = 0; i < lanes; i++)
      lines.push(`      { let v = ${shared('own', i)}; ${acc(part * lanes + i)} += ${add}; }`)
    lines.push('    }')
  }
}

function wideSum(request: MatmulRequest, lanes: number, acc: AccName): string {
  const { m, k, b, bLayout } = request
  const n = outputsOf(request)
  const k4 = k / 4
  const lines: string[] = []
  const each = (load: (part: number) => string, add: string) => everyRow(lanes, acc, lines, load, add)
  for (const part of partsOf(lanes))
    lines.push(`  let aRow${part} = min(m0 + ${part * lanes}u + lane, ${m - 1}u) * ${k4}u;`)
  if (bLayout === 'kn') {
    lines.push(`  let column = min(n0, ${n - 4}u) / 4u;`, `  for (var k = 0u; k < ${k4}u; k++) {`)
    for (let q = 0; q < 4; q++)
      lines.push(`    let b${q} = ${quadOfB(request, `(k * 4u + ${q}u) * ${n / 4}u + column`)};`)
    each((part) => `a[aRow${part} + k]`, 'v.x * b0 + v.y * b1 + v.z * b2 + v.w * b3')
    lines.push('  }')
  } else {
    for (let j = 0; j < TILE; j++) lines.push(`  let bRow${j} = min(n0 + ${j}u, ${n - 1}u) * ${k4}u;`)
    if (b instanceof PackedTensor && b.inBlocks) {
      lines.push(`  for (var block = 0u; block < ${k4 / 8}u; block++) {`)
      for (let j = 0; j < TILE; j++) lines.push(`    let scale${j} = bScale(bRow${j} / 8u + block);`)
      lines.push('  for (var q = 0u; q < 4u; q++) {')
      for (let j = 0; j < TILE; j++) lines.push(`    let two${j} = bTwo(bRow${j} / 8u + block, q);`)
      for (const [half, offset] of [
        ['low', 0],
        ['high', 4],
      ] as const) {
        lines.push('    {')
        for (let j = 0; j < TILE; j++)
          lines.push(`    let b${j} = scale${j}.x * two${j}.${half} + scale${j}.y;`)
        each((part) => `a[aRow${part} + block * 8u + q + ${offset}u]`, dots('v', 'b'))
        lines.push('    }')
      }
      lines.push('  } }')
    } else {
      lines.push(`  for (var k = 0u; k < ${k4}u; k++) {`)
      for (let j = 0; j < TILE; j++) lines.push(`    let b${j} = ${quadOfB(request, `bRow${j} + k`)};`)
      each((part) => `a[aRow${part} + k]`, dots('v', 'b'))
      lines.push('  }')
    }
  }
  lines.push(scaled(request, ROWS, acc))
  sharedLowRank(request, lanes, acc, lines)
  return lines.join('\n')
}

/** The low-rank terms, h's rows shared like a's; ranks and widths that are no whole vectors take the plain way. */
function sharedLowRank(
  request: MatmulRequest,
  lanes: number,
  acc: AccName,
  lines: string[],
): { hVector: 1 | 4; lVector: 1 | 4 } {
  const { m, low } = request
  const n = outputsOf(request)
  if (!low || low.rank % 4 !== 0 || (low.layout === 'kn' && n % 4 !== 0)) {
    const { code, ...vectors } = lowRank(request, ROWS, acc)
    lines.push(code)
    return vectors
  }
  const { rank, layout, h, l, parts } = low
  // A subgroup's columns may lie in two parts: all ranks of h are shared, and each invocation takes its part's.
  if (parts) lines.push('  {', stackPlaces(parts))
  for (const part of partsOf(lanes))
    lines.push(`  let hRow${part} = min(m0 + ${part * lanes}u + lane, ${m - 1}u) * ${h.width / 4}u;`)
  lines.push(`  for (var c = 0u; c < ${h.width / 4}u; c++) {`)
  if (parts)
    lines.push(
      `    let own = c >= hFirst && c < hFirst + ${rank / 4}u;`,
      '    let r = select(0u, c - hFirst, own);',
      '    let on = select(0.0f, lOn, own);',
    )
  for (let j = 0; j < TILE; j++) {
    const column = `min(n0 + ${j}u, ${n - 1}u)`
    const at = parts
      ? `min(${column} - lFirst, ${l.rows - 1}u) * ${rank / 4}u + r`
      : layout === 'nk'
        ? `${column} * ${rank / 4}u + c`
        : `(c * 4u + ${j}u) * ${n / 4}u + min(n0, ${n - 4}u) / 4u`
    lines.push(`    let l${j} = ${parts ? 'on * ' : ''}l[${at}];`)
  }
  everyRow(
    lanes,
    acc,
    lines,
    (part) => `h[hRow${part} + c]`,
    layout === 'nk' ? dots('v', 'l') : 'v.x * l0 + v.y * l1 + v.z * l2 + v.w * l3',
  )
  lines.push(parts ? '  } }' : '  }')
  return { hVector: 4, lVector: 4 }
}

function few(request: MatmulRequest, lanes: number): Source {
  const { m, n } = request
  const size = workgroupSize(Math.ceil(n / TILE))
  return {
    aVector: 4,
    bVector: 4,
    subgroups: true,
    workgroups: [Math.ceil(n / TILE / size), 1, 1],
    body: `@compute @workgroup_size(${size})
fn main(${ENTRY}) {
  let lane = invocation % ${lanes}u;
  let nOwn = (workgroup.x * ${size}u + local) * ${TILE}u;
  let m0 = 0u;
${sums(request, m, (acc, norming) => fewSum(request, lanes, acc, norming), `  if (n0 >= ${n}u) { return; }`)}
}`,
  }
}

function fewSum(request: MatmulRequest, lanes: number, acc: AccName, norming: Norming): string {
  const { m, k, b } = request
  const n = outputsOf(request)
  const k4 = k / 4
  const byBlock = b instanceof PackedTensor && b.inBlocks
  const lines: string[] = []
  for (let j = 0; j < TILE; j++) lines.push(`  let bRow${j} = min(n0 + ${j}u, ${n - 1}u) * ${k4}u;`)
  lines.push(`  for (var block = 0u; block < ${k4 / 8}u; block++) {`)
  for (let part = 0; part < 8 / lanes; part++) {
    const place = `${part * lanes}u + block * 8u + lane`
    if (norming) lines.push(`    let gain${part} = norm[${place}];`)
    for (let i = 0; i < m; i++)
      lines.push(rowOfA(norming, `own${i}_${part}`, i, `a[${i * k4}u + ${place}]`, `gain${part}`))
  }
  if (byBlock) for (let j = 0; j < TILE; j++) lines.push(`    let scale${j} = bScale(bRow${j} / 8u + block);`)
  const quad = (q: number) => {
    for (let i = 0; i < m; i++) {
      const part = Math.floor(q / lanes)
      lines.push(`      { let v = ${shared(`own${i}_${part}`, q % lanes)}; ${acc(i)} += ${dots('v', 'b')}; }`)
    }
  }
  for (let q = 0; q < (byBlock ? 4 : 8); q++) {
    lines.push('    {')
    if (byBlock) {
      for (let j = 0; j < TILE; j++) lines.push(`      let two${j} = bTwo(bRow${j} / 8u + block, ${q}u);`)
      lines.push('      {')
      for (let j = 0; j < TILE; j++) lines.push(`      let b${j} = scale${j}.x * two${j}.low + scale${j}.y;`)
      quad(q)
      lines.push('      }')
      for (let j = 0; j < TILE; j++) lines.push(`      let b${j} = scale${j}.x * two${j}.high + scale${j}.y;`)
      quad(q + 4)
    } else {
      for (let j = 0; j < TILE; j++)
        lines.push(`      let b${j} = ${quadOfB(request, `bRow${j} + block * 8u + ${q}u`)};`)
      quad(q)
    }
    lines.push('    }')
  }
  lines.push('  }')
  // Each lane has the squares of its parts.
  if (norming === 'squares')
    lines.push(`  squares = ${times(lanes, (lane) => shared('squares', lane)).join(' + ')};`)
  lines.push(completed(request, m, acc))
  return lines.join('\n')
}

function narrowRows({ m, n, k, bLayout, scale = 1 }: MatmulRequest, lanes: number): Source {
  // Few rows are few invocations: small workgroups let a second core have some.
  const size = m <= 128 ? 16 : 32
  const k4 = k / 4
  const loads = Math.ceil(n / lanes)
  const groups = Math.ceil(n / 4)
  const lines: string[] = []
  for (let load = 0; load < loads; load++) {
    const entry = `min(${load * lanes}u + lane, ${n - 1}u)`
    // In 'kn' the four rows of b that meet four columns of a are n vectors.
    const at =
      bLayout === 'nk'
        ? `${entry} * ${k4}u + k`
        : `(k * 4u + ${entry} / ${n / 4}u) * ${n / 4}u + ${entry} % ${n / 4}u`
    lines.push(`    let own${load} = b[${at}];`)
  }
  for (let entry = 0; entry < n; entry++) {
    const value = shared(`own${Math.floor(entry / lanes)}`, entry % lanes)
    lines.push(
      bLayout === 'nk'
        ? `    acc${entry >> 2}[${entry & 3}] += dot(v, ${value});`
        : `    acc${entry % (n / 4)} += v[${Math.floor(entry / (n / 4))}] * ${value};`,
    )
  }
  const store = (entry: number) => `acc${entry >> 2}[${entry & 3}] * ${float(scale)}`
  const stores =
    n % 4 === 0
      ? times(groups, (g) => `  y[row * ${groups}u + ${g}u] = acc${g} * ${float(scale)};`)
      : times(n, (entry) => `  y[row * ${n}u + ${entry}u] = ${store(entry)};`)
  return {
    aVector: 4,
    bVector: 4,
    subgroups: true,
    workgroups: [Math.ceil(m / size), 1, 1],
    body: `@compute @workgroup_size(${size})
fn main(${ENTRY}) {
  let lane = invocation % ${lanes}u;
  let row = workgroup.x * ${size}u + local;
  let aRow = min(row, ${m - 1}u) * ${k4}u;
${times(groups, (g) => `  var acc${g} = vec4<f32>();`).join('\n')}
  for (var k = 0u; k < ${k4}u; k++) {
    let v = a[aRow + k];
${lines.join('\n')}
  }
  if (row >= ${m}u) { return; }
${stores.join('\n')}
}`,
  }
}

function gradient({ m, n, k, scale = 1 }: MatmulRequest, lanes: number): Source {
  const narrowIsB = n <= m
  const [broad, narrow] = narrowIsB ? [m, n] : [n, m]
  const [broadName, narrowName] = narrowIsB ? ['a', 'b'] : ['b', 'a']
  const size = workgroupSize(broad / 4) === 48 ? 48 : 32
  const groups = narrow / 4
  const lines: string[] = []
  for (let g = 0; g < groups; g++)
    lines.push(
      `    let own${g} = select(vec4<f32>(), ${narrowName}[min(k0 + lane, ${k - 1}u) * ${groups}u + ${g}u], k0 + lane < ${k}u);`,
    )
  for (let step = 0; step < lanes; step++) {
    lines.push(`    { let v = ${broadName}[min(k0 + ${step}u, ${k - 1}u) * ${broad / 4}u + quad];`)
    for (let g = 0; g < groups; g++) {
      lines.push(`      let w${g} = ${shared(`own${g}`, step)};`)
      for (let j = 0; j < 4; j++) lines.push(`      acc${4 * g + j} += w${g}[${j}] * v;`)
    }
    lines.push('    }')
  }
  const stores: string[] = []
  if (scale !== 1) for (let i = 0; i < narrow; i++) stores.push(`  acc${i} *= ${float(scale)};`)
  if (narrowIsB) {
    for (let i = 0; i < 4; i++)
      for (let g = 0; g < groups; g++)
        stores.push(
          `  y[(index * 4u + ${i}u) * ${groups}u + ${g}u] = vec4<f32>(${times(4, (j) => `acc${4 * g + j}[${i}]`).join(', ')});`,
        )
  } else {
    for (let i = 0; i < narrow; i++) stores.push(`  y[${(i * broad) / 4}u + index] = acc${i};`)
  }
  return {
    aVector: 4,
    bVector: 4,
    subgroups: true,
    workgroups: [Math.ceil(broad / 4 / size), 1, 1],
    body: `@compute @workgroup_size(${size})
fn main(${ENTRY}) {
  let lane = invocation % ${lanes}u;
  let index = workgroup.x * ${size}u + local;
  let quad = min(index, ${broad / 4 - 1}u);
${times(narrow, (i) => `  var acc${i} = vec4<f32>();`).join('\n')}
  for (var k0 = 0u; k0 < ${k}u; k0 += ${lanes}u) {
${lines.join('\n')}
  }
  if (index >= ${broad / 4}u) { return; }
${stores.join('\n')}
}`,
  }
}
