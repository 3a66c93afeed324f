/**
 * Attention over a cache of keys and values, for generation: a workgroup owns one query of one head. It takes the
 * cached rows 64 at a time: each invocation makes one row's score, then each sums one number of the head over the 64. Where
 * the device has float16 the cache is in it, half as large; sums are float32 always.
 */
import { asColumns, asPlanTensor, elementAt } from '../../plan/plan-tensor.ts'
import { lineKernel, lineOfWorkgroups, type Recorder } from '../../plan/recorder.ts'
import type { AttentionOp } from '../ops.ts'
import { vectors } from './walk.wgsl.ts'

/** Invocations of a workgroup, and cached rows that are taken at a time. */
const SIZE = 64

export function planCachedAttention(recorder: Recorder): AttentionOp['cached'] {
  return (qTensor, kTensor, vTensor, cache, positionsTensor, heads, headDim) => {
    const q = asPlanTensor(qTensor)
    const positions = asPlanTensor(positionsTensor)
    const keys = asPlanTensor(cache.keys)
    const values = asPlanTensor(cache.values)
    const [k, v] = [asColumns(kTensor), asColumns(vTensor)]
    const { capacity } = cache
    // A number beyond float16 would be infinite, and every score with it no number.
    const half = keys.dtype === 'float16'
    const stored = half ? 'f16' : 'f32'
    const kept = (value: string) => (half ? `clamp(${value}, -65504.0f, 65504.0f)` : value)
    const vec = vectors(headDim)
    const width = keys.width
    const kvHeads = width / headDim
    recorder.dispatch({
      name: 'attention.cacheWrite',
      reads: { k, v, positions },
      writes: { keys, values },
      ...lineKernel(
        q.rows * width,
        `  let at = u32(positions[i / ${width}u]);
  if (at >= ${capacity}u) { return; }
  keys[at * ${width}u + i % ${width}u] = ${stored}(${kept(`k[${elementAt(k)}]`)});
  values[at * ${width}u + i % ${width}u] = ${stored}(${kept(`v[${elementAt(v)}]`)});`,
      ),
      flops: 0,
    })
    const out = recorder.tensor(q.shape)
    const workgroups = lineOfWorkgroups(q.rows * heads)
    // Numbers of the head that one invocation sums.
    const own = Array.from({ length: Math.ceil(headDim / SIZE) }, (_, part) => part)
    recorder.dispatch({
      name: 'attention.cached',
      reads: {
        q: { tensor: q, vector: vec.size },
        keys: { tensor: keys, vector: vec.size },
        values,
        positions,
      },
      writes: { y: out },
      workgroups,
      body: `var<workgroup> query: array<${vec.type}, ${vec.count}>;
var<workgroup> scores: array<f32, ${SIZE}>;
var<workgroup> last: u32;
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = workgroup.x + workgroup.y * ${workgroups[0]}u;
  if (i >= ${q.rows * heads}u) { return; }
  let head = i % ${heads}u;
  let kvHead = head / ${heads / kvHeads}u;
  for (var c = local; c < ${vec.count}u; c += ${SIZE}u) { query[c] = q[i * ${vec.count}u + c] * ${1 / Math.sqrt(headDim)}f; }
  if (local == 0u) { last = min(u32(positions[i / ${heads}u]), ${capacity - 1}u); }
  let end = workgroupUniformLoad(&last) + 1u;
  var top = -3.0e38f;
  var total = 0.0f;
${own.map((part) => `  var sum${part} = 0.0f;`).join('\n')}
  for (var block = 0u; block < end; block += ${SIZE}u) {
    let j = block + local;
    var score = -3.0e38f;
    if (j < end) {
      let at = j * ${kvHeads * vec.count}u + kvHead * ${vec.count}u;
      score = 0.0f;
      for (var c = 0u; c < ${vec.count}u; c++) { score += ${vec.dot('query[c]', `${vec.type}(keys[at + c])`)}; }
    }
    scores[local] = score;
    workgroupBarrier();
    let count = min(${SIZE}u, end - block);
    var newTop = top;
    for (var e = 0u; e < count; e++) { newTop = max(newTop, scores[e]); }
    let shrink = exp(top - newTop);
    top = newTop;
    total *= shrink;
${own.map((part) => `    sum${part} *= shrink;`).join('\n')}
    let at = block * ${width}u + kvHead * ${headDim}u;
    for (var e = 0u; e < count; e++) {
      let p = exp(scores[e] - top);
      total += p;
${own
  .map(
    (part) =>
      `      sum${part} += p * f32(values[at + e * ${width}u + min(local + ${part * SIZE}u, ${headDim - 1}u)]);`,
  )
  .join('\n')}
    }
    workgroupBarrier();
  }
${own
  .map(
    (part) =>
      `  if (local + ${part * SIZE}u < ${headDim}u) { y[i * ${headDim}u + local + ${part * SIZE}u] = sum${part} / total; }`,
  )
  .join('\n')}
}`,
      flops: 4 * q.rows * heads * headDim * capacity,
    })
    return out
  }
}
