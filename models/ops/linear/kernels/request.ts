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
  readonly bias?: PlanTensor // [n]
  readonly residual?: PlanTensor // [m, n]
}

/** A register tile is four columns wide: one vector. */
export const TILE = 4

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
}

export const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
export const float = (value: number) => {
  const text = String(Math.fround(value))
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}

/** What row i of a register tile is called. */
type AccName = (row: number) => string
const plainAcc: AccName = (row) => `acc${row}`

/**
 * The low-rank terms, added to acc_i: one loop for the whole tile, because drivers that compile on the CPU take
 * seconds for a kernel that repeats it row by row.
 */
export function lowRank(
  request: MatmulRequest,
  rows: number,
  acc: AccName = plainAcc,
): { code: string; hVector: 1 | 4; lVector: 1 | 4 } {
  const { m, n, low } = request
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

/** acc_i (a vec4 over four columns from n0), the low-rank terms, bias and residual -> y. */
export function epilogue(request: MatmulRequest, rows: number, acc: AccName = plainAcc): string {
  const { m, n, scale } = request
  const lines: string[] = []
  if (scale !== undefined && scale !== 1)
    for (let i = 0; i < rows; i++) lines.push(`  ${acc(i)} *= ${float(scale)};`)
  lines.push(lowRank(request, rows, acc).code)
  const whole = n % TILE === 0
  for (let i = 0; i < rows; i++) {
    lines.push(`  if (m0 + ${i}u < ${m}u) {`)
    if (whole) {
      lines.push(`    let at = ((m0 + ${i}u) * ${n}u + n0) / 4u;`)
      const added = [acc(i), request.bias && 'bias[n0 / 4u]', request.residual && 'residual[at]'].filter(
        Boolean,
      )
      lines.push(`    y[at] = ${added.join(' + ')};`)
    } else {
      lines.push(`    for (var j = 0u; j < min(4u, ${n}u - n0); j++) {`)
      lines.push(`      let at = (m0 + ${i}u) * ${n}u + n0 + j;`)
      const added = [
        `${acc(i)}[j]`,
        request.bias && 'bias[n0 + j]',
        request.residual && 'residual[at]',
      ].filter(Boolean)
      lines.push(`      y[at] = ${added.join(' + ')};`)
      lines.push('    }')
    }
    lines.push('  }')
  }
  return lines.join('\n')
}

/** b's weights 4 `quad` to 4 `quad` + 3, a vec4. */
export const quadOfB = ({ b }: MatmulRequest, quad: string) =>
  b instanceof PackedTensor ? `bQuad(${quad})` : `b[${quad}]`
