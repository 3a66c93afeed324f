/**
 * Matrix products in WGSL: y [m, n] = scale · a b (+ h l) (+ bias) (+ residual), in the three layouts
 * that forward (a bᵀ), input gradient (a b) and weight gradient (aᵀ b) need. Sizes are baked into the source, so
 * the compiler sees every bound. Every variant adds in a fixed order: results repeat to the bit. b may be a packed
 * weight, whose numbers are unpacked four at a time where they are read.
 *
 * - `direct`: each invocation keeps a 4 x 4 tile in registers (8 x 4 over packed blocks) and reads the operands from
 *   memory.
 * - `tiled`: 64 x 64 tiles through workgroup memory; 256 invocations of 4 x 4.
 * - `splitK`: for small results of long sums (a factor's gradient): 64 invocations share one 4 x 4 tile, each
 *   sums every 64th term, and a tree adds them up.
 */
import { type Matrix, PackedTensor } from '../../plan/packed-tensor.ts'
import type { PlanTensor } from '../../plan/plan-tensor.ts'
import { type Binding, lineOfWorkgroups, type Recorder } from '../../plan/recorder.ts'

export interface MatmulRequest {
  readonly name: string
  readonly m: number
  readonly n: number
  readonly k: number
  readonly a: PlanTensor
  /** 'mk': a[m, k] row-major; 'km': a[k, m]. */
  readonly aLayout: 'mk' | 'km'
  readonly b: Matrix
  /** 'nk': b[n, k] (a transposed weight); 'kn': b[k, n]. */
  readonly bLayout: 'nk' | 'kn'
  readonly y: PlanTensor
  readonly scale?: number
  /** += h [m, rank] l, l being [n, rank] ('nk') or [rank, n] ('kn'). */
  readonly low?: {
    readonly h: PlanTensor
    readonly l: PlanTensor
    readonly rank: number
    readonly layout: 'nk' | 'kn'
  }
  readonly bias?: PlanTensor // [n]
  readonly residual?: PlanTensor // [m, n]
}

export type MatmulVariant = 'direct' | 'tiled' | 'splitK'

const TILE = 4
const SPLIT = 64

export function matmul(recorder: Recorder, request: MatmulRequest): void {
  recordMatmul(recorder, request, chooseVariant(recorder, request))
}

function chooseVariant(recorder: Recorder, { m, n, k }: MatmulRequest): MatmulVariant {
  if (recorder.style === 'direct') return 'direct'
  if (m >= 32 && n >= 32) return 'tiled'
  // Few tiles and a long sum leave a GPU idle unless the sum itself is shared out.
  const tiles = Math.ceil(m / TILE) * Math.ceil(n / TILE)
  return k >= 4 * SPLIT && tiles <= 4096 ? 'splitK' : 'direct'
}

export function recordMatmul(recorder: Recorder, request: MatmulRequest, variant: MatmulVariant): void {
  const { m, n, k, low } = request
  const flops = 2 * m * n * (k + (low?.rank ?? 0))
  const source =
    variant === 'direct' ? direct(request) : variant === 'tiled' ? tiled(request) : splitK(request)
  const reads: Record<string, Binding> = {
    a: { tensor: request.a, vector: source.aVector },
    ...(request.b instanceof PackedTensor
      ? request.b.reads('b')
      : { b: { tensor: request.b, vector: source.bVector } }),
  }
  const outVector = n % TILE === 0 ? 4 : 1
  if (low) {
    const { hVector, lVector } = lowRank(request, TILE)
    reads.h = { tensor: low.h, vector: hVector }
    reads.l = { tensor: low.l, vector: lVector }
  }
  if (request.bias) reads.bias = { tensor: request.bias, vector: outVector }
  if (request.residual) reads.residual = { tensor: request.residual, vector: outVector }
  recorder.dispatch({
    name: `${request.name}.${variant}`,
    reads,
    writes: { y: { tensor: request.y, vector: outVector } },
    body: request.b instanceof PackedTensor ? request.b.unpack('b') + source.body : source.body,
    workgroups: source.workgroups,
    flops,
  })
}

interface Source {
  readonly body: string
  readonly workgroups: readonly [number, number, number]
  readonly aVector: 1 | 4
  readonly bVector: 1 | 4
}

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const float = (value: number) => {
  const text = String(Math.fround(value))
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}

/**
 * The low-rank terms, added to acc_i: one loop for the whole tile, because drivers that compile on the CPU take
 * seconds for a kernel that repeats it row by row.
 */
function lowRank(request: MatmulRequest, rows: number): { code: string; hVector: 1 | 4; lVector: 1 | 4 } {
  const { m, n, low } = request
  if (!low) return { code: '', hVector: 1, lVector: 1 }
  const { rank } = low
  const lines: string[] = []
  const hRow = (i: number) => `min(m0 + ${i}u, ${m - 1}u)`
  const column = (j: number) => `min(n0 + ${j}u, ${n - 1}u)`
  if (low.layout === 'nk' && rank % 4 === 0) {
    lines.push(`  for (var r = 0u; r < ${rank / 4}u; r++) {`)
    for (let j = 0; j < TILE; j++) lines.push(`    let l${j} = l[${column(j)} * ${rank / 4}u + r];`)
    for (let i = 0; i < rows; i++) {
      lines.push(`    let h${i} = h[${hRow(i)} * ${rank / 4}u + r];`)
      lines.push(`    acc${i} += vec4<f32>(${times(TILE, (j) => `dot(h${i}, l${j})`).join(', ')});`)
    }
    lines.push('  }')
    return { code: lines.join('\n'), hVector: 4, lVector: 4 }
  }
  lines.push(`  for (var r = 0u; r < ${rank}u; r++) {`)
  const vector = low.layout === 'kn' && n % 4 === 0
  if (vector) lines.push(`    let lv = l[r * ${n / 4}u + min(n0, ${n - 4}u) / 4u];`)
  else {
    const at = (j: number) =>
      low.layout === 'nk' ? `l[${column(j)} * ${rank}u + r]` : `l[r * ${n}u + ${column(j)}]`
    lines.push(`    let lv = vec4<f32>(${times(TILE, at).join(', ')});`)
  }
  for (let i = 0; i < rows; i++) lines.push(`    acc${i} += h[${hRow(i)} * ${rank}u + r] * lv;`)
  lines.push('  }')
  return { code: lines.join('\n'), hVector: 1, lVector: vector ? 4 : 1 }
}

/** acc_i (a vec4 over four columns from n0), the low-rank terms, bias and residual -> y. */
function epilogue(request: MatmulRequest, rows: number): string {
  const { m, n, scale } = request
  const lines: string[] = []
  if (scale !== undefined && scale !== 1)
    for (let i = 0; i < rows; i++) lines.push(`  acc${i} *= ${float(scale)};`)
  lines.push(lowRank(request, rows).code)
  const whole = n % TILE === 0
  for (let i = 0; i < rows; i++) {
    lines.push(`  if (m0 + ${i}u < ${m}u) {`)
    if (whole) {
      lines.push(`    let at = ((m0 + ${i}u) * ${n}u + n0) / 4u;`)
      const added = [`acc${i}`, request.bias && 'bias[n0 / 4u]', request.residual && 'residual[at]'].filter(
        Boolean,
      )
      lines.push(`    y[at] = ${added.join(' + ')};`)
    } else {
      lines.push(`    for (var j = 0u; j < min(4u, ${n}u - n0); j++) {`)
      lines.push(`      let at = (m0 + ${i}u) * ${n}u + n0 + j;`)
      const added = [`acc${i}[j]`, request.bias && 'bias[n0 + j]', request.residual && 'residual[at]'].filter(
        Boolean,
      )
      lines.push(`      y[at] = ${added.join(' + ')};`)
      lines.push('    }')
    }
    lines.push('  }')
  }
  return lines.join('\n')
}

/** b's weights 4 `quad` to 4 `quad` + 3, a vec4. */
const quadOfB = ({ b }: MatmulRequest, quad: string) =>
  b instanceof PackedTensor ? `bQuad(${quad})` : `b[${quad}]`

/** The sum over k of one 4 x 4 (or rows x 4) register tile, k from `first` in steps of `step` (in units of `kStep`). */
function registerLoop(
  request: MatmulRequest,
  rows: number,
  first: string,
  step: string,
): { code: string; aVector: 1 | 4; bVector: 1 | 4 } {
  const { m, n, k, aLayout, bLayout } = request
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
    for (let i = 0; i < rows; i++) {
      lines.push(`    let a${i} = a[aRow${i} + k];`)
      lines.push(`    acc${i} += vec4<f32>(${times(TILE, (j) => `dot(a${i}, b${j})`).join(', ')});`)
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
      lines.push(`    acc${i} += a${i}.x * b0 + a${i}.y * b1 + a${i}.z * b2 + a${i}.w * b3;`)
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
    for (let i = 0; i < rows; i++) lines.push(`    acc${i} += av[${i}] * bv;`)
    lines.push('  }')
    return { code: lines.join('\n'), aVector: 4, bVector: 4 }
  }
  if (aLayout === 'mk' && bLayout === 'kn' && n % 4 === 0) {
    lines.push(`  let column = min(n0, ${n - 4}u) / 4u;`)
    lines.push(`  for (var k = ${first}; k < ${k}u; k += ${step}) {`)
    lines.push(`    let bv = ${quadOfB(request, `k * ${n / 4}u + column`)};`)
    for (let i = 0; i < rows; i++) lines.push(`    acc${i} += a[${row(i)} * ${k}u + k] * bv;`)
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
  for (let i = 0; i < rows; i++) lines.push(`    acc${i} += ${aAt(i)} * bv;`)
  lines.push('  }')
  return { code: lines.join('\n'), aVector: 1, bVector: 1 }
}

function direct(request: MatmulRequest): Source {
  const { m, n } = request
  // Codes cost as much to unpack as four rows to multiply: what was unpacked serves eight.
  const rows = Math.min(m, request.b instanceof PackedTensor && request.b.inBlocks ? 2 * TILE : TILE)
  const columns = Math.ceil(n / TILE)
  const bands = Math.ceil(m / rows)
  // A single row (decoding) gives every invocation of a workgroup columns; otherwise 8 x 8 tiles.
  const [sizeX, sizeY] = bands < 8 ? [64, 1] : [8, 8]
  const loop = registerLoop(request, rows, '0u', '1u')
  return {
    aVector: loop.aVector,
    bVector: loop.bVector,
    workgroups: [Math.ceil(columns / sizeX), Math.ceil(bands / sizeY), 1],
    body: `@compute @workgroup_size(${sizeX}, ${sizeY})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n0 = id.x * ${TILE}u;
  let m0 = id.y * ${rows}u;
  if (n0 >= ${n}u || m0 >= ${m}u) { return; }
${times(rows, (i) => `  var acc${i} = vec4<f32>();`).join('\n')}
${loop.code}
${epilogue(request, rows)}
}`,
  }
}

function splitK(request: MatmulRequest): Source {
  const { m, n } = request
  const rows = Math.min(m, TILE)
  const columns = Math.ceil(n / TILE)
  const workgroups = lineOfWorkgroups(columns * Math.ceil(m / rows))
  const loop = registerLoop(request, rows, 'local', `${SPLIT}u`)
  return {
    aVector: loop.aVector,
    bVector: loop.bVector,
    workgroups,
    body: `var<workgroup> partial: array<vec4<f32>, ${SPLIT * rows}>;
@compute @workgroup_size(${SPLIT})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let tile = workgroup.x + workgroup.y * ${workgroups[0]}u;
  let n0 = (tile % ${columns}u) * ${TILE}u;
  let m0 = (tile / ${columns}u) * ${rows}u;
${times(rows, (i) => `  var acc${i} = vec4<f32>();`).join('\n')}
${loop.code}
${times(rows, (i) => `  partial[local + ${i * SPLIT}u] = acc${i};`).join('\n')}
  workgroupBarrier();
  for (var width = ${SPLIT / 2}u; width > 0u; width >>= 1u) {
    if (local < width) {
${times(rows, (i) => `      partial[local + ${i * SPLIT}u] += partial[local + ${i * SPLIT}u + width];`).join('\n')}
    }
    workgroupBarrier();
  }
${times(rows, (i) => `  acc${i} = partial[${i * SPLIT}];`).join('\n')}
  if (local != 0u || n0 >= ${n}u || m0 >= ${m}u) { return; }
${epilogue(request, rows)}
}`,
  }
}

const TILE_MN = 64
const TILE_K = 16

/**
 * A packed b's share of a tile: 256 quads, one an invocation. Quads lie along k in 'nk' and along n in 'kn'; a row of
 * the weight is whole quads, so none crosses an edge.
 */
function packedTile({ n, k, bLayout }: MatmulRequest): string {
  const stride = TILE_MN + 4
  if (bLayout === 'nk') {
    return `{
      let tk = local % ${TILE_K / 4}u * 4u; let tn = local / ${TILE_K / 4}u;
      let inside = k0 + tk < ${k}u;
      let quad = bQuad(min(nTile + tn, ${n - 1}u) * ${k / 4}u + min(k0 + tk, ${k - 4}u) / 4u);
      for (var i = 0u; i < 4u; i++) { bTile[(tk + i) * ${stride}u + tn] = select(0.0f, quad[i], inside); }
    }`
  }
  return `{
      let tn = local % ${TILE_MN / 4}u * 4u; let tk = local / ${TILE_MN / 4}u;
      let inside = k0 + tk < ${k}u;
      let quad = bQuad(min(k0 + tk, ${k - 1}u) * ${n / 4}u + min(nTile + tn, ${n - 4}u) / 4u);
      for (var i = 0u; i < 4u; i++) { bTile[tk * ${stride}u + tn + i] = select(0.0f, quad[i], inside); }
    }`
}

function tiled(request: MatmulRequest): Source {
  const { m, n, k, aLayout, bLayout } = request
  // Neighbouring invocations read neighbouring addresses, whichever way the operand lies.
  const aLoad =
    aLayout === 'mk'
      ? `let tk = index % ${TILE_K}u; let tm = index / ${TILE_K}u;
      let at = min(mTile + tm, ${m - 1}u) * ${k}u + k0 + tk;`
      : `let tm = index % ${TILE_MN}u; let tk = index / ${TILE_MN}u;
      let at = min(k0 + tk, ${k - 1}u) * ${m}u + min(mTile + tm, ${m - 1}u);`
  const bLoad =
    request.b instanceof PackedTensor
      ? packedTile(request)
      : `for (var index = local; index < ${TILE_K * TILE_MN}u; index += 256u) {
      ${
        bLayout === 'nk'
          ? `let tk = index % ${TILE_K}u; let tn = index / ${TILE_K}u;
      let at = min(nTile + tn, ${n - 1}u) * ${k}u + k0 + tk;`
          : `let tn = index % ${TILE_MN}u; let tk = index / ${TILE_MN}u;
      let at = min(k0 + tk, ${k - 1}u) * ${n}u + min(nTile + tn, ${n - 1}u);`
      }
      bTile[tk * ${TILE_MN + 4}u + tn] = select(0.0f, b[min(at, ${n * k - 1}u)], k0 + tk < ${k}u);
    }`
  return {
    aVector: 1,
    bVector: 1,
    workgroups: [Math.ceil(n / TILE_MN), Math.ceil(m / TILE_MN), 1],
    body: `// Columns of the tiles are padded by one vector: the writes of one column would else meet in one bank.
var<workgroup> aTile: array<f32, ${TILE_K * (TILE_MN + 4)}>;
var<workgroup> bTile: array<f32, ${TILE_K * (TILE_MN + 4)}>;
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
  let mTile = workgroup.y * ${TILE_MN}u;
  let nTile = workgroup.x * ${TILE_MN}u;
  let m0 = mTile + id.y * ${TILE}u;
  let n0 = nTile + id.x * ${TILE}u;
${times(TILE, (i) => `  var acc${i} = vec4<f32>();`).join('\n')}
  for (var k0 = 0u; k0 < ${k}u; k0 += ${TILE_K}u) {
    for (var index = local; index < ${TILE_K * TILE_MN}u; index += 256u) {
      ${aLoad}
      aTile[tk * ${TILE_MN + 4}u + tm] = select(0.0f, a[min(at, ${m * k - 1}u)], k0 + tk < ${k}u);
    }
    ${bLoad}
    workgroupBarrier();
    for (var tk = 0u; tk < ${TILE_K}u; tk++) {
      let aAt = tk * ${TILE_MN + 4}u + id.y * ${TILE}u;
      let bAt = tk * ${TILE_MN + 4}u + id.x * ${TILE}u;
      let bv = vec4<f32>(bTile[bAt], bTile[bAt + 1u], bTile[bAt + 2u], bTile[bAt + 3u]);
${times(TILE, (i) => `      acc${i} += aTile[aAt + ${i}u] * bv;`).join('\n')}
    }
    workgroupBarrier();
  }
  if (n0 >= ${n}u) { return; }
${epilogue(request, TILE)}
}`,
  }
}
