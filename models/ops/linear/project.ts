/**
 * The low-rank projections scale · x Aᵀ [rows, rank] of several layers that read the same x (queries, keys and values;
 * gate and up), in one dispatch that reads x once, where each by itself would leave a GPU idle.
 */
import { asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import { lineOfWorkgroups, type Recorder } from '../../plan/recorder.ts'
import type { LoraPath } from '../ops.ts'
import { SPLIT } from './kernels/direct.ts'
import { float, times } from './kernels/request.ts'

/** x, and for each layer its A and its result: within the eight buffers that every device binds. */
const MAX_LAYERS = 3
/** Numbers that one invocation sums up. */
const MAX_RANKS = 48
const TILE = 4

interface Kernel {
  readonly body: string
  readonly workgroups: readonly [number, number, number]
  readonly subgroups?: true
}

/** Results in order of the layers; null where ranks or widths are no whole vectors, or too many. */
export function projectTogether(
  recorder: Recorder,
  x: PlanTensor,
  layers: readonly LoraPath[],
): PlanTensor[] | null {
  const factors = layers.map(({ a }) => asPlanTensor(a.value))
  const ranks = layers.map(({ a }) => a.shape[0])
  const all = ranks.reduce((sum, rank) => sum + rank, 0)
  const whole = x.width % TILE === 0 && ranks.every((rank) => rank % TILE === 0)
  if (layers.length < 2 || layers.length > MAX_LAYERS || all > MAX_RANKS || !whole) return null
  const results = ranks.map((rank) => recorder.tensor([x.rows, rank]))
  const scales = layers.map(({ scale }) => scale)
  const kernel =
    recorder.style === 'direct' && recorder.subgroupLanes > 0
      ? shared(x, ranks, scales, recorder.subgroupLanes)
      : split(x, ranks, scales)
  recorder.dispatch({
    name: 'lora.projectTogether',
    reads: {
      x: { tensor: x, vector: 4 },
      ...Object.fromEntries(factors.map((tensor, i) => [`a${i}`, { tensor, vector: 4 as const }])),
    },
    writes: Object.fromEntries(results.map((tensor, i) => [`y${i}`, { tensor, vector: 4 as const }])),
    flops: 2 * x.rows * all * x.width,
    ...kernel,
  })
  return results
}

/** As `rows` in `kernels/subgroup.ts`: an invocation owns a row, the factors' rows come by broadcast. */
function shared(x: PlanTensor, ranks: readonly number[], scales: readonly number[], lanes: number): Kernel {
  const size = x.rows <= 128 ? 16 : 32
  const k4 = x.width / 4
  const sums = ranks.flatMap((rank, i) => times(rank / 4, (g) => ({ name: `sum${i}_${g}`, i, g, rank })))
  const loads = ranks.flatMap((rank, i) =>
    times(
      Math.ceil(rank / lanes),
      (part) => `    let own${i}_${part} = a${i}[min(${part * lanes}u + lane, ${rank - 1}u) * ${k4}u + k];`,
    ),
  )
  const dots = ranks.flatMap((rank, i) =>
    times(rank, (entry) => {
      const value = `subgroupBroadcast(own${i}_${Math.floor(entry / lanes)}, ${entry % lanes}u)`
      return `    sum${i}_${entry >> 2}[${entry & 3}] += dot(v, ${value});`
    }),
  )
  return {
    subgroups: true,
    workgroups: [Math.ceil(x.rows / size), 1, 1],
    body: `@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32,
        @builtin(subgroup_invocation_id) invocation: u32) {
  let lane = invocation % ${lanes}u;
  let row = workgroup.x * ${size}u + local;
  let at = min(row, ${x.rows - 1}u) * ${k4}u;
${sums.map(({ name }) => `  var ${name}: vec4<f32>;`).join('\n')}
  for (var k = 0u; k < ${k4}u; k++) {
    let v = x[at + k];
${[...loads, ...dots].join('\n')}
  }
  if (row >= ${x.rows}u) { return; }
${sums.map(({ name, i, g, rank }) => `  y${i}[row * ${rank / 4}u + ${g}u] = ${name} * ${float(scales[i])};`).join('\n')}
}`,
  }
}

/** As `splitK`: a workgroup shares the sums of four rows by four of one layer's columns. */
function split(x: PlanTensor, ranks: readonly number[], scales: readonly number[]): Kernel {
  const k4 = x.width / 4
  const groups = ranks.reduce((sum, rank) => sum + rank / 4, 0)
  const workgroups = lineOfWorkgroups(groups * Math.ceil(x.rows / TILE))
  let before = 0
  const layers = ranks.map((rank, i) => {
    const first = before
    before += rank / 4
    return { i, rank, inside: `group < ${before}u`, own: `(group - ${first}u)` }
  })
  /** One of the layers, the same one for the whole workgroup. */
  const choose = (make: (layer: (typeof layers)[number]) => string) =>
    layers.map((layer) => `if (${layer.inside}) {\n${make(layer)}\n  }`).join(' else ')
  return {
    workgroups,
    body: `var<workgroup> partial: array<vec4<f32>, ${SPLIT * TILE}>;
@compute @workgroup_size(${SPLIT})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let tile = workgroup.x + workgroup.y * ${workgroups[0]}u;
  let group = tile % ${groups}u;
  let m0 = tile / ${groups}u * ${TILE}u;
${times(TILE, (row) => `  var sum${row}: vec4<f32>;`).join('\n')}
  ${choose(
    ({ i, own }) => `    for (var k = local; k < ${k4}u; k += ${SPLIT}u) {
${times(TILE, (j) => `      let b${j} = a${i}[(${own} * 4u + ${j}u) * ${k4}u + k];`).join('\n')}
${times(
  TILE,
  (row) =>
    `      { let v = x[min(m0 + ${row}u, ${x.rows - 1}u) * ${k4}u + k]; sum${row} += vec4<f32>(${times(TILE, (j) => `dot(v, b${j})`).join(', ')}); }`,
).join('\n')}
    }`,
  )}
${times(TILE, (row) => `  partial[local + ${row * SPLIT}u] = sum${row};`).join('\n')}
  workgroupBarrier();
  for (var width = ${SPLIT / 2}u; width > 0u; width >>= 1u) {
    if (local < width) {
${times(TILE, (row) => `      partial[local + ${row * SPLIT}u] += partial[local + ${row * SPLIT}u + width];`).join('\n')}
    }
    workgroupBarrier();
  }
  // One invocation a row writes; surplus workgroups and rows write nothing.
  let row = m0 + local;
  if (local >= ${TILE}u || row >= ${x.rows}u) { return; }
  let sum = partial[local * ${SPLIT}u];
  ${choose(({ i, rank, own }) => `    y${i}[row * ${rank / 4}u + ${own}] = sum * ${float(scales[i])};`)}
}`,
  }
}
