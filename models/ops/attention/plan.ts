/**
 * Attention recorded, never storing a [tokens, tokens] matrix: the forward walks the keys with a running
 * maximum and sum (Milakov & Gimelshein 2018, https://arxiv.org/abs/1805.02867; FlashAttention,
 * https://arxiv.org/abs/2205.14135) and keeps the logarithm of the sum; the backward makes the probabilities
 * again from it. One invocation owns one query row (forward, dq) or one key row (dk, dv), so no two write the
 * same place and every sum has one order. How rows are walked over: `walk.wgsl.ts`.
 */
import { asColumns, asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Binding, Recorder } from '../../plan/recorder.ts'
import type { AttentionOp, AttentionShape, Tensor } from '../ops.ts'
import { planCachedAttention } from './cached.ts'
import { attentionDispatch, each, registers, vectors, walk } from './walk.wgsl.ts'

export function planAttention(recorder: Recorder): AttentionOp {
  return {
    forward(qTensor, kTensor, vTensor, shape, segments) {
      const { batch, tokens, heads, headDim, causal } = shape
      const vec = vectors(headDim)
      const rows = batch * tokens
      const [q, k, v] = [asColumns(qTensor), asColumns(kTensor), asColumns(vTensor)]
      const out = recorder.tensor([rows, heads * headDim])
      const logSumExp = recorder.tensor([rows, heads])
      const as = vectorsOf(vec.size)
      attentionDispatch(
        recorder,
        {
          headDim,
          name: 'attention.forward',
          reads: { q: as(q), k: as(k), v: as(v), ...starts(segments) },
          writes: { y: as(out), logSumExp },
          flops: 4 * rows * heads * headDim * (causal ? (tokens + 1) / 2 : tokens),
        },
        shape,
        (kernel) => `${queryRow(shape, vec, q)}
${registers(kernel, 'query', 'sum')}
${each(kernel, (own, at) => `${own('query')} = q[qAt + ${at}] * ${scaleOf(shape)};`)}
  var top = -3.0e38f;
  var total = 0.0f;
${walk(kernel, {
  ...keysOf(shape, vec.count, kernel.size, segments, [k, v]),
  operands: ['k', 'v'],
  body: (entry) => `    var score = 0.0f;
${each(kernel, (own, _, c) => `score += ${vec.dot(own('query'), entry(0, c))};`)}
    let seen = ${seen(shape, segments)};
    let newTop = max(top, select(-3.0e38f, score, seen));
    if (newTop > top) {
      let shrink = exp(top - newTop);
      total *= shrink;
${each(kernel, (own) => `${own('sum')} *= shrink;`)}
      top = newTop;
    }
    let p = select(0.0f, exp(score - top), seen);
    total += p;
${each(kernel, (own, _, c) => `${own('sum')} += p * ${entry(1, c)};`)}`,
})}
  if (t >= ${tokens}u) { return; }
${each(kernel, (own, at) => `y[outAt + ${at}] = ${own('sum')} / total;`)}
  logSumExp[row * ${heads}u + head] = top + log(total);`,
      )
      return { out, logSumExp }
    },

    /**
     * With p = exp(scale q·k - logSumExp) and delta = dOut·out by row and head:
     * ds = p (dOut·v - delta); dq = scale Σ ds k; dk = scale Σ ds q; dv = Σ p dOut.
     */
    backward(dOutTensor, qTensor, kTensor, vTensor, outTensor, logSumExpTensor, shape, segments) {
      const { batch, tokens, heads, kvHeads, headDim, causal } = shape
      const vec = vectors(headDim)
      const rows = batch * tokens
      const as = vectorsOf(vec.size)
      const logSumExp = asPlanTensor(logSumExpTensor)
      const delta = recorder.tensor([rows, heads])
      const pairs = rows * heads * (causal ? (tokens + 1) / 2 : tokens)
      const scale = scaleOf(shape)
      const [q, k, v] = [asColumns(qTensor), asColumns(kTensor), asColumns(vTensor)]
      const reads = {
        dOut: as(asPlanTensor(dOutTensor)),
        q: as(q),
        k: as(k),
        v: as(v),
        logSumExp,
        ...starts(segments),
      }
      const { dq, dk, dv } = gradients(recorder, rows, heads * headDim, kvHeads * headDim, v)
      attentionDispatch(
        recorder,
        {
          headDim,
          name: 'attention.dq',
          reads: { ...reads, out: as(asPlanTensor(outTensor)) },
          writes: { dq: as(dq.wider), delta },
          flops: 6 * pairs * headDim,
        },
        shape,
        (kernel) => `${queryRow(shape, vec, q)}
${registers(kernel, 'query', 'upstream', 'sum')}
  var rowDelta = 0.0f;
${each(kernel, (own, at) => `${own('query')} = q[qAt + ${at}] * ${scale}; ${own('upstream')} = dOut[outAt + ${at}]; rowDelta += ${vec.dot(own('upstream'), `out[outAt + ${at}]`)};`)}
  let lse = logSumExp[row * ${heads}u + head];
${walk(kernel, {
  ...keysOf(shape, vec.count, kernel.size, segments, [k, v]),
  operands: ['k', 'v'],
  body: (entry) => `    var score = 0.0f;
    var dp = 0.0f;
${each(kernel, (own, _, c) => `score += ${vec.dot(own('query'), entry(0, c))}; dp += ${vec.dot(own('upstream'), entry(1, c))};`)}
    let ds = select(0.0f, exp(score - lse) * (dp - rowDelta) * ${scale}, ${seen(shape, segments)});
${each(kernel, (own, _, c) => `${own('sum')} += ds * ${entry(0, c)};`)}`,
})}
  if (t >= ${tokens}u) { return; }
  delta[row * ${heads}u + head] = rowDelta;
  let dqAt = ${rowAt(dq, 'row', vec.size)} + head * ${vec.count}u;
${each(kernel, (own, at) => `dq[dqAt + ${at}] = ${own('sum')};`)}`,
      )

      const joined = dk.within !== undefined
      const [dkName, dvName] = joined ? ['dkv', 'dkv'] : ['dk', 'dv']
      const group = heads / kvHeads
      attentionDispatch(
        recorder,
        {
          headDim,
          name: 'attention.dkv',
          reads: { ...reads, delta },
          writes: joined ? { dkv: as(dk.wider) } : { dk: as(dk), dv: as(dv) },
          flops: 8 * pairs * headDim,
        },
        { batch, tokens, heads: kvHeads },
        // `t` is the key's row here, and `j` walks over the queries.
        (kernel) => `  let ownRow = firstRow + min(t, ${tokens - 1}u);
  let kAt = ${rowAt(k, 'ownRow', vec.size)} + head * ${vec.count}u;
  let vAt = ${rowAt(v, 'ownRow', vec.size)} + head * ${vec.count}u;
${registers(kernel, 'key', 'val', 'keySum', 'valSum')}
${each(kernel, (own, c) => `${own('key')} = k[kAt + ${c}] * ${scale}; ${own('val')} = v[vAt + ${c}];`)}
  for (var g = 0u; g < ${group}u; g++) {
    let queryHead = head * ${group}u + g;
${walk(kernel, {
  operands: ['q', 'dOut'],
  first: causal ? 't0' : '0u',
  end: `${tokens}u`,
  at: [
    `${rowAt(q, '(firstRow + j)', vec.size)} + queryHead * ${vec.count}u`,
    `(firstRow + j) * ${heads * vec.count}u + queryHead * ${vec.count}u`,
  ],
  body: (entry) => `    let row = firstRow + j;
${segments ? `    if (u32(segments[row]) >= t0 + ${kernel.size}u) { break; } // the next document` : ''}
    var score = 0.0f;
    var dp = 0.0f;
${each(kernel, (own, _, c) => `score += ${vec.dot(entry(0, c), own('key'))}; dp += ${vec.dot(entry(1, c), own('val'))};`)}
    let seen = ${causal ? `t <= j${segments ? ' && u32(segments[row]) <= t' : ''}` : 'true'};
    let p = select(0.0f, exp(score - logSumExp[row * ${heads}u + queryHead]), seen);
    let ds = p * (dp - delta[row * ${heads}u + queryHead]) * ${scale};
${each(kernel, (own, _, c) => `${own('valSum')} += p * ${entry(1, c)}; ${own('keySum')} += ds * ${entry(0, c)};`)}`,
})}
  }
  if (t >= ${tokens}u) { return; }
  let dkAt = ${rowAt(dk, 'ownRow', vec.size)} + head * ${vec.count}u;
  let dvAt = ${rowAt(dv, 'ownRow', vec.size)} + head * ${vec.count}u;
${each(kernel, (own, c) => `${dkName}[dkAt + ${c}] = ${own('keySum')}; ${dvName}[dvAt + ${c}] = ${own('valSum')};`)}`,
      )
      return { dq, dk, dv }
    },

    cached: planCachedAttention(recorder),
  }
}

const vectorsOf =
  (vector: 1 | 2 | 4) =>
  (tensor: PlanTensor): Binding => ({ tensor, vector })

/** Where a row starts, in vectors. */
const rowAt = (tensor: PlanTensor, row: string, vector: number) =>
  `${row} * ${tensor.stride / vector}u + ${tensor.first / vector}u`

/** Columns of one tensor, as the projections' own results are, where the values are: one product takes them back. */
function gradients(recorder: Recorder, rows: number, queryWidth: number, keyWidth: number, v: PlanTensor) {
  if (!v.within) {
    const [dq, dk, dv] = [queryWidth, keyWidth, keyWidth].map((width) => recorder.tensor([rows, width]))
    return { dq, dk, dv }
  }
  const all = recorder.tensor([rows, queryWidth + 2 * keyWidth])
  return {
    dq: all.columnRange(0, queryWidth),
    dk: all.columnRange(queryWidth, keyWidth),
    dv: all.columnRange(queryWidth + keyWidth, keyWidth),
  }
}

const scaleOf = ({ headDim }: AttentionShape) => `${1 / Math.sqrt(headDim)}f`

const starts = (segments: Tensor | undefined): Record<string, Binding> =>
  segments ? { segments: asPlanTensor(segments) } : {}

/** The invocation's query row; those past the window's end take its last, and write nothing. */
const queryRow = (
  { tokens, heads }: AttentionShape,
  { count, size }: { readonly count: number; readonly size: number },
  q: PlanTensor,
) =>
  `  let row = firstRow + min(t, ${tokens - 1}u);
  let qAt = ${rowAt(q, 'row', size)} + head * ${count}u;
  let outAt = row * ${heads * count}u + head * ${count}u;`

/** The keys that any query of the workgroup sees: documents begin in order, so its first query's is the first. */
const keysOf = (
  { tokens, heads, kvHeads, causal, headDim }: AttentionShape,
  count: number,
  size: number,
  segments: Tensor | undefined,
  keysAndValues: readonly [PlanTensor, PlanTensor],
) => ({
  first: segments ? 'u32(segments[firstRow + t0])' : '0u',
  end: causal ? `min(t0 + ${size}u, ${tokens}u)` : `${tokens}u`,
  at: keysAndValues.map(
    (tensor) =>
      `${rowAt(tensor, '(firstRow + j)', headDim / count)} + (head / ${heads / kvHeads}u) * ${count}u`,
  ) as [string, string],
})

/** Whether the invocation's query sees key j. */
const seen = ({ causal }: AttentionShape, segments: Tensor | undefined) =>
  causal ? `j <= t${segments ? ' && j >= u32(segments[row])' : ''}` : 'true'
