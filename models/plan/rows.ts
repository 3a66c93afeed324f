/**
 * Kernels that handle one row at a time (norms, softmax): a row is one invocation's work on a CPU that plays
 * GPU, and a workgroup's on a GPU. The template hides which: `lane` strides over the row by `LANES`, and
 * `reduceSum`/`reduceMax` combine the lanes' values, in a fixed order.
 */
import { lineOfWorkgroups, type Recorder } from './recorder.ts'

const WORKGROUP = 64

export interface RowKernel {
  readonly body: string
  readonly workgroups: readonly [number, number, number]
}

/**
 * `body` sees `row`, `lane` and the constant `LANES`. It may call `reduceSum(f32)`, `reduceMax(f32)` and
 * `rowBarrier()`, after which every lane sees what the others wrote to the row's memory.
 */
export function rowKernel(recorder: Recorder, rows: number, body: string): RowKernel {
  if (recorder.style === 'direct') {
    const workgroups = lineOfWorkgroups(Math.ceil(rows / WORKGROUP))
    return {
      workgroups,
      body: `const LANES = 1u;
fn reduceSum(value: f32) -> f32 { return value; }
fn reduceMax(value: f32) -> f32 { return value; }
fn rowBarrier() {}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row = (workgroup.x + workgroup.y * ${workgroups[0]}u) * ${WORKGROUP}u + local;
  let lane = 0u;
  if (row >= ${rows}u) { return; }
${body}
}`,
    }
  }
  const workgroups = lineOfWorkgroups(rows)
  const reduction = (
    name: string,
    combine: (a: string, b: string) => string,
  ) => `fn ${name}(value: f32) -> f32 {
  workgroupBarrier();
  lanes[laneIndex] = value;
  workgroupBarrier();
  for (var width = ${WORKGROUP / 2}u; width > 0u; width >>= 1u) {
    if (laneIndex < width) { lanes[laneIndex] = ${combine('lanes[laneIndex]', 'lanes[laneIndex + width]')}; }
    workgroupBarrier();
  }
  return lanes[0];
}`
  return {
    workgroups,
    body: `const LANES = ${WORKGROUP}u;
var<workgroup> lanes: array<f32, ${WORKGROUP}>;
var<private> laneIndex: u32;
${reduction('reduceSum', (a, b) => `${a} + ${b}`)}
${reduction('reduceMax', (a, b) => `max(${a}, ${b})`)}
fn rowBarrier() { storageBarrier(); }
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row = workgroup.x + workgroup.y * ${workgroups[0]}u;
  // The whole workgroup leaves together, so no barrier waits for it.
  if (row >= ${rows}u) { return; }
  let lane = local;
  laneIndex = local;
${body}
}`,
  }
}
