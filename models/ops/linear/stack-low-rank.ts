/**
 * The low-rank gradients of a stack of layers (queries, keys and values; gate and up), whose B matrices lie one after
 * another, in one dispatch each:
 *
 *   g  [rows, all ranks]: part p's columns are scale · dy_p B_p         `stackBack`
 *   dB [all outputs, rank]: part p's rows are dy_pᵀ u_p                 `stackGradB`
 *
 * dy [rows, outputs of the stack], u = scale · x Aᵀ [rows, all ranks]. Everything in whole vectors of four. Each in two
 * ways, as the products in `kernels/`: `shared`, whose narrow operand is read once a subgroup, and `split`, where a
 * workgroup shares one sum.
 */
import type { PlanTensor } from '../../plan/plan-tensor.ts'
import { lineOfWorkgroups, type Recorder } from '../../plan/recorder.ts'
import { SPLIT } from './kernels/direct.ts'
import { float, type StackPart, times } from './kernels/request.ts'

const TILE = 4

interface Kernel {
  readonly body: string
  readonly workgroups: readonly [number, number, number]
  readonly subgroups?: true
}

/** A part that has a low-rank path. */
interface LowPart {
  readonly first: number
  readonly outputs: number
  readonly column: number
  readonly row: number
}

export interface StackGradient {
  /** [rows, outputs] */
  readonly dy: PlanTensor
  readonly parts: readonly StackPart[]
  readonly rank: number
}

const lowParts = (parts: readonly StackPart[]): LowPart[] =>
  parts.flatMap(({ first, outputs, low }) => (low ? [{ first, outputs, ...low }] : []))

const sharesLanes = (recorder: Recorder) => recorder.style === 'direct' && recorder.subgroupLanes > 0

/** A number for each part, by the index `part`. */
const choose = (numbers: readonly number[]): string =>
  numbers
    .slice(0, -1)
    .reduceRight(
      (rest, number, i) => `select(${rest}, ${number}u, part == ${i}u)`,
      `${numbers[numbers.length - 1]}u`,
    )

/** @param b all Bs, one after another [outputs with a low-rank path, rank] */
export function stackBack(
  recorder: Recorder,
  { dy, parts, rank }: StackGradient,
  b: PlanTensor,
  scale: number,
): PlanTensor {
  const low = lowParts(parts)
  const g = recorder.tensor([dy.rows, low.length * rank])
  const kernel = sharesLanes(recorder)
    ? sharedBack(dy, low, rank, scale, recorder.subgroupLanes)
    : splitBack(dy, low, rank, scale)
  recorder.dispatch({
    name: `lora.stackBack.${kernel.subgroups ? 'shared' : 'split'}`,
    reads: { dy: { tensor: dy, vector: 4 }, b: { tensor: b, vector: 4 } },
    writes: { g: { tensor: g, vector: 4 } },
    flops: 2 * dy.rows * rank * low.reduce((sum, { outputs }) => sum + outputs, 0),
    ...kernel,
  })
  return g
}

/** @param gradient all slots of B, one after another [outputs with a low-rank path, rank] */
export function stackGradB(
  recorder: Recorder,
  { dy, parts, rank }: StackGradient,
  u: PlanTensor,
  gradient: PlanTensor,
): void {
  const low = lowParts(parts)
  const kernel = sharesLanes(recorder)
    ? sharedGradB(dy, u, low, rank, recorder.subgroupLanes)
    : splitGradB(dy, u, low, rank)
  recorder.dispatch({
    name: `lora.stackGradB.${kernel.subgroups ? 'shared' : 'split'}`,
    reads: { dy: { tensor: dy, vector: 4 }, u: { tensor: u, vector: 4 } },
    writes: { y: { tensor: gradient, vector: 4 } },
    flops: 2 * dy.rows * rank * low.reduce((sum, { outputs }) => sum + outputs, 0),
    ...kernel,
  })
}

const LANE = `@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32,
        @builtin(subgroup_invocation_id) invocation: u32`
const GROUP = '@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32'

/** An invocation owns a row of one part; the part's rows of B come by broadcast, `rank` vectors of each four outputs. */
function sharedBack(
  dy: PlanTensor,
  low: readonly LowPart[],
  rank: number,
  scale: number,
  lanes: number,
): Kernel {
  const size = dy.rows <= 128 ? 16 : 32
  const quads = rank / 4
  const all = low.length * quads
  const loads = times(
    Math.ceil(rank / lanes),
    (load) => `    let own${load} = b[bAt + k * ${rank}u + min(${load * lanes}u + lane, ${rank - 1}u)];`,
  )
  // Four rows of B are `rank` vectors: entry e is row e / quads, columns 4 (e % quads) on.
  const adds = times(rank, (entry) => {
    const value = `subgroupBroadcast(own${Math.floor(entry / lanes)}, ${entry % lanes}u)`
    return `    acc${entry % quads} += v[${Math.floor(entry / quads)}] * ${value};`
  })
  return {
    subgroups: true,
    workgroups: [Math.ceil(dy.rows / size), low.length, 1],
    body: `@compute @workgroup_size(${size})
fn main(${LANE}) {
  let lane = invocation % ${lanes}u;
  let part = workgroup.y;
  let count = ${choose(low.map(({ outputs }) => outputs / 4))};
  let bAt = ${choose(low.map(({ row }) => row * quads))};
  let row = workgroup.x * ${size}u + local;
  let at = min(row, ${dy.rows - 1}u) * ${dy.width / 4}u + ${choose(low.map(({ first }) => first / 4))};
${times(quads, (q) => `  var acc${q} = vec4<f32>();`).join('\n')}
  for (var k = 0u; k < count; k++) {
    let v = dy[at + k];
${[...loads, ...adds].join('\n')}
  }
  if (row >= ${dy.rows}u) { return; }
  let column = ${choose(low.map(({ column }) => column / 4))};
${times(quads, (q) => `  g[row * ${all}u + column + ${q}u] = acc${q} * ${float(scale)};`).join('\n')}
}`,
  }
}

/** A workgroup sums four rows by four columns of one part. */
function splitBack(dy: PlanTensor, low: readonly LowPart[], rank: number, scale: number): Kernel {
  const quads = rank / 4
  const all = low.length * quads
  const workgroups = lineOfWorkgroups(all * Math.ceil(dy.rows / TILE))
  return {
    workgroups,
    body: `var<workgroup> partial: array<vec4<f32>, ${SPLIT * TILE}>;
@compute @workgroup_size(${SPLIT})
fn main(${GROUP}) {
  let tile = workgroup.x + workgroup.y * ${workgroups[0]}u;
  let part = tile % ${all}u / ${quads}u;
  let column = tile % ${quads}u;
  let m0 = tile / ${all}u * ${TILE}u;
  let count = ${choose(low.map(({ outputs }) => outputs / 4))};
  let bAt = ${choose(low.map(({ row }) => row * quads))} + column;
  let first = ${choose(low.map(({ first }) => first / 4))};
${times(TILE, (row) => `  var sum${row}: vec4<f32>;`).join('\n')}
  for (var k = local; k < count; k += ${SPLIT}u) {
${times(4, (j) => `    let b${j} = b[bAt + (k * 4u + ${j}u) * ${quads}u];`).join('\n')}
${times(
  TILE,
  (row) =>
    `    { let v = dy[min(m0 + ${row}u, ${dy.rows - 1}u) * ${dy.width / 4}u + first + k]; sum${row} += v.x * b0 + v.y * b1 + v.z * b2 + v.w * b3; }`,
).join('\n')}
  }
${reduced}
  let row = m0 + local;
  if (local >= ${TILE}u || row >= ${dy.rows}u) { return; }
  g[row * ${all}u + ${choose(low.map(({ column }) => column / 4))} + column] = partial[local * ${SPLIT}u] * ${float(scale)};
}`,
  }
}

/** Four sums of each invocation, added up by a tree in a fixed order into partial[row * SPLIT]. */
const reduced = `${times(TILE, (row) => `  partial[local + ${row * SPLIT}u] = sum${row};`).join('\n')}
  workgroupBarrier();
  for (var width = ${SPLIT / 2}u; width > 0u; width >>= 1u) {
    if (local < width) {
${times(TILE, (row) => `      partial[local + ${row * SPLIT}u] += partial[local + ${row * SPLIT}u + width];`).join('\n')}
    }
    workgroupBarrier();
  }`

/** An invocation owns four outputs of one part; u's rows come by broadcast. Workgroups do not straddle parts. */
function sharedGradB(
  dy: PlanTensor,
  u: PlanTensor,
  low: readonly LowPart[],
  rank: number,
  lanes: number,
): Kernel {
  const size = 48
  const quads = rank / 4
  const most = Math.max(...low.map(({ outputs }) => outputs / 4))
  const steps = times(lanes, (step) =>
    [
      `    { let v = dy[min(k0 + ${step}u, ${dy.rows - 1}u) * ${dy.width / 4}u + at];`,
      ...times(
        quads,
        (q) => `      let w${q} = subgroupBroadcast(own${q}, ${step}u);
${times(4, (j) => `      acc${4 * q + j} += w${q}[${j}] * v;`).join('\n')}`,
      ),
      '    }',
    ].join('\n'),
  )
  const stores = times(4, (i) =>
    times(
      quads,
      (q) =>
        `  y[(slot + ${i}u) * ${quads}u + ${q}u] = vec4<f32>(${times(4, (j) => `acc${4 * q + j}[${i}]`).join(', ')});`,
    ).join('\n'),
  )
  return {
    subgroups: true,
    workgroups: [Math.ceil(most / size), low.length, 1],
    body: `@compute @workgroup_size(${size})
fn main(${LANE}) {
  let lane = invocation % ${lanes}u;
  let part = workgroup.y;
  let count = ${choose(low.map(({ outputs }) => outputs / 4))};
  let index = workgroup.x * ${size}u + local;
  let at = ${choose(low.map(({ first }) => first / 4))} + min(index, count - 1u);
  let column = ${choose(low.map(({ column }) => column / 4))};
${times(rank, (i) => `  var acc${i} = vec4<f32>();`).join('\n')}
  for (var k0 = 0u; k0 < ${dy.rows}u; k0 += ${lanes}u) {
${times(
  quads,
  (q) =>
    `    let own${q} = select(vec4<f32>(), u[min(k0 + lane, ${dy.rows - 1}u) * ${u.width / 4}u + column + ${q}u], k0 + lane < ${dy.rows}u);`,
).join('\n')}
${steps.join('\n')}
  }
  if (index >= count) { return; }
  let slot = ${choose(low.map(({ row }) => row))} + index * 4u;
${stores.join('\n')}
}`,
  }
}

/** A workgroup sums four outputs by four columns of one part over the rows. */
function splitGradB(dy: PlanTensor, u: PlanTensor, low: readonly LowPart[], rank: number): Kernel {
  const quads = rank / 4
  const outputs = low.reduce((sum, part) => sum + part.outputs, 0)
  const workgroups = lineOfWorkgroups((outputs / 4) * quads)
  const part = low
    .slice(0, -1)
    .reduceRight(
      (rest, { row, outputs }, i) => `select(${rest}, ${i}u, slot < ${row + outputs}u)`,
      `${low.length - 1}u`,
    )
  return {
    workgroups,
    body: `var<workgroup> partial: array<vec4<f32>, ${SPLIT * TILE}>;
@compute @workgroup_size(${SPLIT})
fn main(${GROUP}) {
  let tile = workgroup.x + workgroup.y * ${workgroups[0]}u;
  let column = tile % ${quads}u;
  let slot = min(tile / ${quads}u * 4u, ${outputs - 4}u);
  let part = ${part};
  let at = (slot - ${choose(low.map(({ row }) => row))} + ${choose(low.map(({ first }) => first))}) / 4u;
  let uAt = ${choose(low.map(({ column }) => column / 4))} + column;
${times(TILE, (row) => `  var sum${row}: vec4<f32>;`).join('\n')}
  for (var k = local; k < ${dy.rows}u; k += ${SPLIT}u) {
    let v = dy[k * ${dy.width / 4}u + at];
    let w = u[k * ${u.width / 4}u + uAt];
${times(TILE, (row) => `    sum${row} += v[${row}] * w;`).join('\n')}
  }
${reduced}
  // Surplus workgroups of a folded line write nothing.
  if (local >= ${TILE}u || tile >= ${(outputs / 4) * quads}u) { return; }
  y[(slot + local) * ${quads}u + column] = partial[local * ${SPLIT}u];
}`,
  }
}
