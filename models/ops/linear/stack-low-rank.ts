/**
 * The low-rank gradients of a stack of layers (queries, keys and values; gate and up), whose B matrices lie one after
 * another, in one dispatch each:
 *
 *   g  [rows, all ranks]: part p's columns are scale · dy_p B_p         `stackBack`
 *   dB [all outputs, rank]: part p's rows are dy_pᵀ u_p                 `stackGradB`
 *
 * Both in one dispatch where that is how the device's kernels are written, `stackGradients`. A layer by itself is a stack
 * of one.
 *
 * dy [rows, outputs of the stack], u = scale · x Aᵀ [rows, all ranks]. Everything in whole vectors of four. Each in two
 * ways, as the products in `kernels/`: `shared`, whose narrow operand is read once a subgroup, and `split`, where a
 * workgroup shares one sum.
 */
import type { PlanTensor } from '../../plan/plan-tensor.ts'
import { lineOfWorkgroups, type Recorder } from '../../plan/recorder.ts'
import { SPLIT } from './kernels/direct.ts'
import { float, type StackPart, times } from './kernels/request.ts'
import { choose, type Kernel, type LowPart, sharedBack, sharedGradB } from './stack-low-rank-shared.ts'

const TILE = 4

export interface StackGradient {
  /** [rows, outputs] */
  readonly dy: PlanTensor
  readonly parts: readonly StackPart[]
  readonly rank: number
}

const lowParts = (parts: readonly StackPart[]): LowPart[] =>
  parts.flatMap(({ first, outputs, low }) => (low ? [{ first, outputs, ...low }] : []))

const sharesLanes = (recorder: Recorder) => recorder.style === 'direct' && recorder.subgroupLanes > 0

/** @param b all Bs, one after another [outputs with a low-rank path, rank] */
export function stackBack(
  recorder: Recorder,
  gradient: StackGradient,
  b: PlanTensor,
  scale: number,
): PlanTensor {
  const { dy, parts, rank } = gradient
  const low = lowParts(parts)
  const g = recorder.tensor([dy.rows, low.length * rank])
  const kernel = sharesLanes(recorder)
    ? sharedBack(dy, low, rank, scale, recorder.subgroupLanes)
    : split(splitBack(dy, low, rank, scale))
  record(recorder, 'lora.stackBack', gradient, { b }, { g }, kernel)
  return g
}

/** @param slots of B, one after another [outputs with a low-rank path, rank] */
export function stackGradB(
  recorder: Recorder,
  gradient: StackGradient,
  u: PlanTensor,
  slots: PlanTensor,
): void {
  const { dy, parts, rank } = gradient
  const low = lowParts(parts)
  const kernel = sharesLanes(recorder)
    ? sharedGradB(dy, u, low, rank, recorder.subgroupLanes)
    : split(splitGradB(dy, u, low, rank))
  record(recorder, 'lora.stackGradB', gradient, { u }, { y: slots }, kernel)
}

/** A product of dy, or both at once, over all that it reads and writes in vectors. */
function record(
  recorder: Recorder,
  name: string,
  { dy, parts, rank }: StackGradient,
  operands: Readonly<Record<string, PlanTensor>>,
  results: Readonly<Record<string, PlanTensor>>,
  kernel: Kernel,
): void {
  const inVectors = (tensors: Readonly<Record<string, PlanTensor>>) =>
    Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [key, { tensor, vector: 4 as const }]))
  const outputs = lowParts(parts).reduce((sum, part) => sum + part.outputs, 0)
  recorder.dispatch({
    name: `${name}.${kernel.subgroups ? 'shared' : 'split'}`,
    reads: inVectors({ dy, ...operands }),
    writes: inVectors(results),
    flops: 2 * Object.keys(results).length * dy.rows * rank * outputs,
    ...kernel,
  })
}

/** `stackBack` and `stackGradB`: neither waits for the other, and apart each would leave a GPU idle. */
export function stackGradients(
  recorder: Recorder,
  gradient: StackGradient,
  factors: {
    readonly b: PlanTensor
    readonly u: PlanTensor
    readonly gradient: PlanTensor
    readonly scale: number
  },
): PlanTensor {
  const { dy, parts, rank } = gradient
  const { b, u, gradient: slots, scale } = factors
  if (sharesLanes(recorder)) {
    stackGradB(recorder, gradient, u, slots)
    return stackBack(recorder, gradient, b, scale)
  }
  const low = lowParts(parts)
  const g = recorder.tensor([dy.rows, low.length * rank])
  const back = splitBack(dy, low, rank, scale)
  const gradB = splitGradB(dy, u, low, rank)
  /** The first tiles are those of `back`. */
  const either = (part: 'sum' | 'write') => `  if (tile < ${back.tiles}u) {
${back[part]}
  } else {
    let tile = tile - ${back.tiles}u;
${gradB[part]}
  }`
  const kernel = split({ tiles: back.tiles + gradB.tiles, sum: either('sum'), write: either('write') })
  record(recorder, 'lora.stackGradients', gradient, { b, u }, { g, y: slots }, kernel)
  return g
}

const GROUP = '@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32'

/** What a workgroup that shares its sum does for one of `tiles` tiles: sum0 to sum3, then row `local` of their totals. */
interface SplitTile {
  readonly tiles: number
  readonly sum: string
  /** `total` is the invocation's; those from TILE on have none. */
  readonly write: string
}

function split({ tiles, sum, write }: SplitTile): Kernel {
  const workgroups = lineOfWorkgroups(tiles)
  const body = `var<workgroup> partial: array<vec4<f32>, ${SPLIT * TILE}>;
@compute @workgroup_size(${SPLIT})
fn main(${GROUP}) {
  let tile = workgroup.x + workgroup.y * ${workgroups[0]}u;
${times(TILE, (row) => `  var sum${row}: vec4<f32>;`).join('\n')}
${sum}
${times(TILE, (row) => `  partial[local + ${row * SPLIT}u] = sum${row};`).join('\n')}
  workgroupBarrier();
  for (var width = ${SPLIT / 2}u; width > 0u; width >>= 1u) {
    if (local < width) {
${times(TILE, (row) => `      partial[local + ${row * SPLIT}u] += partial[local + ${row * SPLIT}u + width];`).join('\n')}
    }
    workgroupBarrier();
  }
  if (local >= ${TILE}u) { return; }
  let total = partial[local * ${SPLIT}u];
${write}
}`
  return { workgroups, body }
}

/** Four rows by four columns of one part. */
function splitBack(dy: PlanTensor, low: readonly LowPart[], rank: number, scale: number): SplitTile {
  const quads = rank / 4
  const all = low.length * quads
  const place = `    let part = tile % ${all}u / ${quads}u;
    let column = tile % ${quads}u;
    let m0 = tile / ${all}u * ${TILE}u;`
  return {
    tiles: all * Math.ceil(dy.rows / TILE),
    sum: `${place}
    let count = ${choose(low.map(({ outputs }) => outputs / 4))};
    let bAt = ${choose(low.map(({ row }) => row * quads))} + column;
    let first = ${choose(low.map(({ first }) => first / 4))};
    for (var k = local; k < count; k += ${SPLIT}u) {
${times(4, (j) => `      let b${j} = b[bAt + (k * 4u + ${j}u) * ${quads}u];`).join('\n')}
${times(
  TILE,
  (row) =>
    `      { let v = dy[min(m0 + ${row}u, ${dy.rows - 1}u) * ${dy.width / 4}u + first + k]; sum${row} += v.x * b0 + v.y * b1 + v.z * b2 + v.w * b3; }`,
).join('\n')}
    }`,
    write: `${place}
    let row = m0 + local;
    if (row >= ${dy.rows}u) { return; }
    g[row * ${all}u + ${choose(low.map(({ column }) => column / 4))} + column] = total * ${float(scale)};`,
  }
}

/** Four outputs by four columns of one part, summed over the rows. */
function splitGradB(dy: PlanTensor, u: PlanTensor, low: readonly LowPart[], rank: number): SplitTile {
  const quads = rank / 4
  const outputs = low.reduce((sum, part) => sum + part.outputs, 0)
  const part = low
    .slice(0, -1)
    .reduceRight(
      (rest, { row, outputs }, i) => `select(${rest}, ${i}u, slot < ${row + outputs}u)`,
      `${low.length - 1}u`,
    )
  const tiles = (outputs / 4) * quads
  const place = `    let column = tile % ${quads}u;
    let slot = min(tile / ${quads}u * 4u, ${outputs - 4}u);`
  return {
    tiles,
    sum: `${place}
    let part = ${part};
    let at = (slot - ${choose(low.map(({ row }) => row))} + ${choose(low.map(({ first }) => first))}) / 4u;
    let uAt = ${choose(low.map(({ column }) => column / 4))} + column;
    for (var k = local; k < ${dy.rows}u; k += ${SPLIT}u) {
      let v = dy[k * ${dy.width / 4}u + at];
      let w = u[k * ${u.width / 4}u + uAt];
${times(TILE, (row) => `      sum${row} += v[${row}] * w;`).join('\n')}
    }`,
    // Surplus workgroups of a folded line write nothing.
    write: `${place}
    if (tile >= ${tiles}u) { return; }
    y[(slot + local) * ${quads}u + column] = total;`,
  }
}
