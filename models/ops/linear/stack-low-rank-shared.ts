/** The gradients of `stack-low-rank.ts` whose narrow operand is read once a subgroup and broadcast. */
import type { PlanTensor } from '../../plan/plan-tensor.ts'
import { float, times } from './kernels/request.ts'

export interface Kernel {
  readonly body: string
  readonly workgroups: readonly [number, number, number]
  readonly subgroups?: true
}

/** A part that has a low-rank path. */
export interface LowPart {
  readonly first: number
  readonly outputs: number
  readonly column: number
  readonly row: number
}

/** A number for each part, by the index `part`. */
export const choose = (numbers: readonly number[]): string =>
  numbers
    .slice(0, -1)
    .reduceRight(
      (rest, number, i) => `select(${rest}, ${number}u, part == ${i}u)`,
      `${numbers[numbers.length - 1]}u`,
    )

const LANE = `@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32,
        @builtin(subgroup_invocation_id) invocation: u32`
/** An invocation owns a row of one part; the part's rows of B come by broadcast, `rank` vectors of each four outputs. */
export function sharedBack(
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

/** An invocation owns four outputs of one part; u's rows come by broadcast. Workgroups do not straddle parts. */
export function sharedGradB(
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
