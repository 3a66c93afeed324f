/**
 * What a matrix product is asked for, and the parts of its kernels that all variants share: the low-rank terms and
 * the writing of results.
 */
import { type Matrix, PackedTensor } from '../../../plan/packed-tensor.ts'
import type { PlanTensor } from '../../../plan/plan-tensor.ts'

/** One layer of a stack: where it is in the rows of the whole weight, and where in those of the low-rank paths. */
export interface StackPart {
  /** First of its outputs, and how many. */
  readonly first: number
  readonly outputs: number
  /** Null where it has no low-rank path. */
  readonly low: null | {
    /** First of its columns among all ranks. */
    readonly column: number
    /** First of its rows in all Bs, one after another. */
    readonly row: number
  }
}

/**
 * WGSL that gives each part its own number: `value` of the part that holds output `at`. Parts begin and end at
 * multiples of four, so four outputs in a row have one.
 */
export function ofPart(parts: readonly StackPart[], at: string, value: (part: StackPart) => string): string {
  return parts
    .slice(0, -1)
    .reduceRight(
      (rest, part) => `select(${rest}, ${value(part)}, ${at} < ${part.first + part.outputs}u)`,
      value(parts[parts.length - 1]),
    )
}

/** Columns of h and rows of l for the four outputs from `n0`, in vectors; `lOn` is 0 where there is no low-rank path. */
export function stackPlaces(parts: readonly StackPart[]): string {
  const has = parts.every(({ low }) => low)
    ? '1.0f'
    : ofPart(parts, 'n0', ({ low }) => (low ? '1.0f' : '0.0f'))
  return `  let hFirst = ${ofPart(parts, 'n0', ({ low }) => `${(low?.column ?? 0) / 4}u`)};
  let lFirst = ${ofPart(parts, 'n0', ({ low, first }) => `${low ? first - low.row : first}u`)};
  let lOn = ${has};`
}

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
    /** Of a stack of layers, 'nk' alone: each has its own columns of h [m, all ranks], and its own rows of l. */
    readonly parts?: readonly StackPart[]
  }
  /** a's rows are normed on the way, x / sqrt(mean(x²) + eps) * weight: of up to FEW rows, 'mk' by 'nk'. */
  readonly norm?: { readonly weight: PlanTensor; readonly eps: number }
  readonly bias?: PlanTensor // [n]
  readonly residual?: PlanTensor // [m, n]
  /**
   * b is a stack of two, gate and up [2 n, k], and y = silu(gate) up of their results [m, n]. `both` [m, 2 n] keeps the
   * results themselves.
   */
  readonly gated?: { readonly both?: PlanTensor }
  /**
   * The result is d, the gradient of silu(gate) up; y [m, 2 n] takes those of gate and up, `both` [m, 2 n] being the two.
   */
  readonly ungated?: { readonly both: PlanTensor }
}

/** Outputs of b: those of gate and of up where y has one for the two. */
export const outputsOf = ({ n, gated }: MatmulRequest): number => (gated ? 2 * n : n)

/** A register tile is four columns wide: one vector. */
export const TILE = 4

/** Rows of a product that is a matrix times a vector or little more, as in decoding. */
export const FEW = 4

export interface Source {
  readonly body: string
  readonly workgroups: readonly [number, number, number]
  readonly aVector: 1 | 4
  readonly bVector: 1 | 4
  /** Where they are other than `lowRank` says. */
  readonly hVector?: 1 | 4
  readonly lVector?: 1 | 4
  /** Uses subgroup operations. */
  readonly subgroups?: true
  /** Uses float16. */
  readonly halves?: true
}

export const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
export const float = (value: number) => {
  const text = String(Math.fround(value))
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}

/** What row i of a register tile is called. */
export type AccName = (row: number) => string
const plainAcc: AccName = (row) => `acc${row}`
const gateAcc: AccName = (row) => `gate${row}`
const upAcc: AccName = (row) => `up${row}`

/** What a sum does whose rows of a are normed: multiply by the norm's weights, and add up squares unless that is done. */
export type Norming = 'squares' | 'gain' | null

/**
 * Every sum of a register tile, and what becomes of it: `sum` adds up the results for the four outputs from `n0` under the
 * names it is given. Of a gated product there are two, one after the other; the invocation's columns of y begin at
 * `nOwn`. Where rows are normed on the way, the first also adds up their `squares`, a row a component.
 *
 * @param leave WGSL between the sums and the writing: returns where there is nothing to write
 */
export function sums(
  request: MatmulRequest,
  rows: number,
  sum: (acc: AccName, norming: Norming) => string,
  leave: string,
): string {
  const named = (acc: AccName) => times(rows, (i) => `  var ${acc(i)} = vec4<f32>();`).join('\n')
  const squares = request.norm ? '  var squares = vec4<f32>();\n' : ''
  const [first, second]: Norming[] = request.norm ? ['squares', 'gain'] : [null, null]
  if (!request.gated)
    return `${squares}${named(plainAcc)}\n  let n0 = nOwn;\n${sum(plainAcc, first)}\n${leave}\n${store(request, rows)}`
  return `${squares}${named(gateAcc)}
${named(upAcc)}
  { let n0 = nOwn;
${sum(gateAcc, first)} }
  { let n0 = nOwn + ${request.n}u;
${sum(upAcc, second)} }
  let n0 = nOwn;
${leave}
${store(request, rows)}`
}

/**
 * The low-rank terms, added to acc_i: one loop for the whole tile, because drivers that compile on the CPU take
 * seconds for a kernel that repeats it row by row.
 */
export function lowRank(
  request: MatmulRequest,
  rows: number,
  acc: AccName = plainAcc,
): { code: string; hVector: 1 | 4; lVector: 1 | 4 } {
  const { m, low } = request
  const n = outputsOf(request)
  if (!low) return { code: '', hVector: 1, lVector: 1 }
  const { rank } = low
  const lines: string[] = []
  const hRow = (i: number) => `min(m0 + ${i}u, ${m - 1}u)`
  const column = (j: number) => `min(n0 + ${j}u, ${n - 1}u)`
  if (low.layout === 'nk' && rank % 4 === 0) {
    const { parts } = low
    const [hFirst, lFirst, lOn] = parts ? ['hFirst + ', ' - lFirst', 'lOn * '] : ['', '', '']
    if (parts) lines.push('  {', stackPlaces(parts))
    lines.push(`  for (var r = 0u; r < ${rank / 4}u; r++) {`)
    for (let j = 0; j < TILE; j++)
      lines.push(
        `    let l${j} = ${lOn}l[min(${column(j)}${lFirst}, ${low.l.rows - 1}u) * ${rank / 4}u + r];`,
      )
    for (let i = 0; i < rows; i++) {
      lines.push(`    let h${i} = h[${hRow(i)} * ${low.h.width / 4}u + ${hFirst}r];`)
      lines.push(`    ${acc(i)} += vec4<f32>(${times(TILE, (j) => `dot(h${i}, l${j})`).join(', ')});`)
    }
    lines.push(parts ? '  } }' : '  }')
    return { code: lines.join('\n'), hVector: 4, lVector: 4 }
  }
  if (low.parts) throw new TypeError(`${request.name}: ranks of a stack are whole vectors`)
  lines.push(`  for (var r = 0u; r < ${rank}u; r++) {`)
  const vector = low.layout === 'kn' && n % 4 === 0
  if (vector) lines.push(`    let lv = l[r * ${n / 4}u + min(n0, ${n - 4}u) / 4u];`)
  else {
    const at = (j: number) =>
      low.layout === 'nk' ? `l[${column(j)} * ${rank}u + r]` : `l[r * ${n}u + ${column(j)}]`
    lines.push(`    let lv = vec4<f32>(${times(TILE, at).join(', ')});`)
  }
  for (let i = 0; i < rows; i++) lines.push(`    ${acc(i)} += h[${hRow(i)} * ${rank}u + r] * lv;`)
  lines.push('  }')
  return { code: lines.join('\n'), hVector: 1, lVector: vector ? 4 : 1 }
}

/** Scale and low-rank terms, applied to acc_i, a vec4 over four outputs from n0. */
export function completed(request: MatmulRequest, rows: number, acc: AccName = plainAcc): string {
  return `${scaled(request, rows, acc)}\n${lowRank(request, rows, acc).code}`
}

/** The norm's reciprocals, which `squares` hold the sums for, and the scale. */
export function scaled({ k, norm, scale = 1 }: MatmulRequest, rows: number, acc: AccName = plainAcc): string {
  const factors = (i: number) => [
    ...(norm ? [`inverseSqrt(squares[${i}] / ${k}.0f + ${norm.eps}f)`] : []),
    ...(scale === 1 ? [] : [float(scale)]),
  ]
  return times(rows, (i) => factors(i).map((factor) => `  ${acc(i)} *= ${factor};`))
    .flat()
    .join('\n')
}

/** `name` is row i's vector `value` of a, times the vector `gain` of the norm's weights where rows are normed. */
export function rowOfA(norming: Norming, name: string, i: number, value: string, gain: string): string {
  if (!norming) return `    let ${name} = ${value};`
  const squares = norming === 'squares' ? ` squares[${i}] += dot(x${name}, x${name});` : ''
  return `    let x${name} = ${value};${squares} let ${name} = x${name} * ${gain};`
}

/**
 * The sums of the rows from m0, a row of y, bias and residual -> y; of a gated product silu(gate) up, of its gradient those of gate and up. */
export function store(
  request: MatmulRequest,
  rows: number,
  acc: AccName = request.gated ? gateAcc : plainAcc,
  up: AccName = upAcc,
): string {
  const { m, n, gated, ungated } = request
  const lines: string[] = []
  const whole = n % TILE === 0
  const written = (i: number): string[] => {
    if (gated || ungated) {
      if (!whole || request.bias || request.residual)
        throw new TypeError(`${request.name}: gates come in whole vectors, without bias and residual`)
      const places = [`let gateAt = ((m0 + ${i}u) * ${2 * n}u + n0) / 4u;`, `let upAt = gateAt + ${n / 4}u;`]
      if (gated)
        return [
          ...(gated.both ? [...places, `both[gateAt] = ${acc(i)};`, `both[upAt] = ${up(i)};`] : []),
          `y[((m0 + ${i}u) * ${n}u + n0) / 4u] = ${acc(i)} / (1.0f + exp(-${acc(i)})) * ${up(i)};`,
        ]
      return [
        ...places,
        'let g = both[gateAt];',
        'let sigmoid = 1.0f / (1.0f + exp(-g));',
        'let silu = g * sigmoid;',
        `y[upAt] = ${acc(i)} * silu;`,
        `y[gateAt] = ${acc(i)} * both[upAt] * (sigmoid + silu * (1.0f - sigmoid));`,
      ]
    }
    const added = (own: string, bias: string) =>
      [own, request.bias && bias, request.residual && 'residual[at]'].filter(Boolean).join(' + ')
    if (whole)
      return [`let at = ((m0 + ${i}u) * ${n}u + n0) / 4u;`, `y[at] = ${added(acc(i), 'bias[n0 / 4u]')};`]
    return [
      `for (var j = 0u; j < min(4u, ${n}u - n0); j++) {`,
      `  let at = (m0 + ${i}u) * ${n}u + n0 + j;`,
      `  y[at] = ${added(`${acc(i)}[j]`, 'bias[n0 + j]')};`,
      '}',
    ]
  }
  for (let i = 0; i < rows; i++) {
    const open = m % rows === 0 ? '  {' : `  if (m0 + ${i}u < ${m}u) {`
    lines.push(open, ...written(i).map((line) => `    ${line}`), '  }')
  }
  return lines.join('\n')
}

/** b's weights 4 `quad` to 4 `quad` + 3, a vec4. */
export const quadOfB = ({ b }: MatmulRequest, quad: string) =>
  b instanceof PackedTensor ? `bQuad(${quad})` : `b[${quad}]`
