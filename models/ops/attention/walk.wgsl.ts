/**
 * What attention's kernels share: an invocation owns one row (of queries, or of keys) of one head and walks over the
 * rows of the other side, all invocations of a workgroup over the same ones at the same time. So each row that is
 * walked over is needed by all of them, and reaches them in one of three ways:
 *
 * - `memory`: each reads it for itself, all at one address, which a GPU's first cache serves as one read;
 * - `tile`: a few rows at a time come into workgroup memory, each invocation fetching a part;
 * - `subgroup`: each lane reads a part, and all get every part by broadcast.
 *
 * GPUs differ in which is quickest, and in how many rows a workgroup should have: a tuner chooses.
 *
 * Broadcasts name their lane in the source, so the `subgroup` way writes every vector of a head out, in variables of
 * their own; the other loops over arrays, which drivers compile faster and unroll by themselves.
 */
import { type Binding, type DispatchRequest, MAX_WORKGROUPS, type Recorder } from '../../plan/recorder.ts'

export interface Vectors {
  readonly size: 1 | 2 | 4
  /** Vectors in one head. */
  readonly count: number
  readonly type: string
  readonly zero: string
  readonly dot: (a: string, b: string) => string
}

export function vectors(headDim: number): Vectors {
  const size = headDim % 4 === 0 ? 4 : headDim % 2 === 0 ? 2 : 1
  const type = size === 1 ? 'f32' : `vec${size}<f32>`
  return {
    size,
    count: headDim / size,
    type,
    zero: size === 1 ? '0.0f' : `${type}()`,
    dot: (a, b) => (size === 1 ? `${a} * ${b}` : `dot(${a}, ${b})`),
  }
}

type Way = 'memory' | 'tile' | 'subgroup'

export interface Walk {
  /** The two operands that are walked over: their bindings' names. */
  readonly operands: readonly [string, string]
  /** First and last row (exclusive), the same for the whole workgroup. */
  readonly first: string
  readonly end: string
  /** Where row `j` of each operand starts. */
  readonly at: readonly [string, string]
  /** Sees `j`, and each operand's vector c of row j as `entry`. */
  readonly body: (entry: (operand: 0 | 1, c: Index) => string) => string
}

export interface AttentionKernel {
  readonly recorder: Recorder
  readonly vec: Vectors
  readonly way: Way
  /** Invocations, and so rows, of a workgroup. */
  readonly size: number
}

/** Every way that suits the device, the likeliest to be quick first. */
function attentionKernels(recorder: Recorder, headDim: number): readonly AttentionKernel[] {
  const vec = vectors(headDim)
  const of = (way: Way, size: number): AttentionKernel => ({ recorder, vec, way, size })
  const shares = recorder.subgroupLanes > 0
  // Small workgroups of a processor walk over fewer rows that only some of their own rows see.
  if (recorder.style === 'direct') return [of(shares ? 'subgroup' : 'memory', 16)]
  const tiles = tileRows(vec) > 0 ? [of('tile', 64), of('tile', 32)] : []
  return [of('memory', 64), of('memory', 32), ...tiles, ...(shares ? [of('subgroup', 32)] : [])]
}

/** Workgroup memory that every device has. */
const WORKGROUP_BYTES = 16_384
const MAX_TILE_ROWS = 32

/** Rows of both operands that workgroup memory takes; 0 where a head is too wide. */
const tileRows = ({ size, count }: Vectors): number =>
  Math.min(MAX_TILE_ROWS, Math.floor(WORKGROUP_BYTES / (2 * 4 * size * count)))

/** Which vector of a head: written out, or a loop's variable `c`. */
export type Index = number | 'c'

/** Zeroed registers for a head's vectors. */
export const registers = ({ way, vec }: AttentionKernel, ...names: string[]): string =>
  names
    .flatMap((name) =>
      way === 'subgroup'
        ? Array.from({ length: vec.count }, (_, c) => `  var ${name}${c}: ${vec.type};`)
        : `  var ${name}: array<${vec.type}, ${vec.count}>;`,
    )
    .join('\n')

/** A statement for every vector of a head; `own` is a register's name for it, `at` its place in the head. */
export function each(
  { way, vec }: AttentionKernel,
  statement: (own: (name: string) => string, at: string, c: Index) => string,
): string {
  if (way !== 'subgroup')
    return `    for (var c = 0u; c < ${vec.count}u; c++) { ${statement((name) => `${name}[c]`, 'c', 'c')} }`
  return Array.from({ length: vec.count }, (_, c) => `    ${statement((name) => name + c, `${c}u`, c)}`).join(
    '\n',
  )
}

/** A loop over rows. All of a workgroup's invocations must come by: none may have returned. */
export function walk(kernel: AttentionKernel, { operands, first, end, at, body }: Walk): string {
  const { way, vec, size } = kernel
  const { count } = vec
  if (way === 'tile') {
    const rows = tileRows(vec)
    // `j` is also what `at` speaks of: of the row to fetch first, then of the row at hand.
    return `  for (var block = ${first}; block < ${end}; block += ${rows}u) {
    workgroupBarrier();
    for (var e = local; e < ${rows * count}u; e += ${size}u) {
      let j = min(block + e / ${count}u, ${end} - 1u);
      tile0[e] = ${operands[0]}[${at[0]} + e % ${count}u];
      tile1[e] = ${operands[1]}[${at[1]} + e % ${count}u];
    }
    workgroupBarrier();
    for (var j = block; j < min(block + ${rows}u, ${end}); j++) {
${body((operand) => `tile${operand}[(j - block) * ${count}u + c]`)}
    }
  }`
  }
  if (way === 'memory') {
    return `  for (var j = ${first}; j < ${end}; j++) {
    let at0 = ${at[0]};
    let at1 = ${at[1]};
${body((operand) => `${operands[operand]}[at${operand} + c]`)}
  }`
  }
  const lanes = kernel.recorder.subgroupLanes
  const loads = operands.flatMap((name, operand) =>
    Array.from(
      { length: Math.ceil(count / lanes) },
      (_, part) =>
        `    let own${operand}_${part} = ${name}[at${operand} + min(${part * lanes}u + lane, ${count - 1}u)];`,
    ),
  )
  const shared = (operand: 0 | 1, c: number) =>
    `subgroupBroadcast(own${operand}_${Math.floor(c / lanes)}, ${c % lanes}u)`
  return `  for (var j = ${first}; j < ${end}; j++) {
    let at0 = ${at[0]};
    let at1 = ${at[1]};
${loads.join('\n')}
${body((operand, c) => shared(operand, Number(c)))}
  }`
}

export interface AttentionRequest {
  readonly name: string
  readonly headDim: number
  readonly reads: Readonly<Record<string, Binding>>
  readonly writes: Readonly<Record<string, Binding>>
  readonly flops: number
}

interface Grid {
  readonly tokens: number
  readonly heads: number
  readonly batch: number
}

/**
 * A dispatch over rows, heads and windows, in the way that suits the device, with the others for a tuner to try; `body`
 * sees `t` (row of the window; past the end in the last workgroup), `t0` (the workgroup's first), `head`, and `firstRow`
 * (of the window, over all rows).
 */
export function attentionDispatch(
  recorder: Recorder,
  request: AttentionRequest,
  grid: Grid,
  body: (kernel: AttentionKernel) => string,
): void {
  const [first, ...others] = attentionKernels(recorder, request.headDim)
  const { name, headDim, reads } = request
  const { batch, tokens, heads } = grid
  recorder.dispatch(dispatchOf(first, request, grid, body(first)), {
    key: [name, `${batch}x${tokens}`, `${heads} heads of ${headDim}`, ...Object.keys(reads)].join(' '),
    others: others.map((kernel) => () => dispatchOf(kernel, request, grid, body(kernel))),
  })
}

function dispatchOf(
  { way, size, recorder, vec }: AttentionKernel,
  { name, reads, writes, flops }: AttentionRequest,
  { tokens, heads, batch }: Grid,
  body: string,
): DispatchRequest {
  // Windows come one after another in y where there are more than z takes.
  const deep = Math.min(batch, Math.floor(MAX_WORKGROUPS / heads))
  const tile = [0, 1].map(
    (operand) => `var<workgroup> tile${operand}: array<${vec.type}, ${tileRows(vec) * vec.count}>;\n`,
  )
  return {
    ...{ reads, writes, flops },
    name: `${name}.${way}${size}`,
    subgroups: way === 'subgroup',
    workgroups: [Math.ceil(tokens / size), heads * deep, Math.ceil(batch / deep)],
    body: `${way === 'tile' ? tile.join('') : ''}@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32${
      way === 'subgroup' ? ', @builtin(subgroup_invocation_id) invocation: u32' : ''
    }) {
${way === 'subgroup' ? `  let lane = invocation % ${recorder.subgroupLanes}u;\n` : ''}  let window = workgroup.y / ${heads}u + workgroup.z * ${deep}u;
  if (window >= ${batch}u) { return; }
  let head = workgroup.y % ${heads}u;
  let firstRow = window * ${tokens}u;
  let t0 = workgroup.x * ${size}u;
  let t = t0 + local;
${body}
}`,
  }
}
