/**
 * Attention recorded, never storing a [tokens, tokens] matrix: the forward walks the keys with a running
 * maximum and sum (Milakov & Gimelshein 2018, https://arxiv.org/abs/1805.02867; FlashAttention,
 * https://arxiv.org/abs/2205.14135) and keeps the logarithm of the sum; the backward makes the probabilities
 * again from it. One invocation owns one query row (forward, dq) or one key row (dk, dv), so no two write the
 * same place and every sum has one order. How rows are walked over: `walk.wgsl.ts`.
 */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import type { Binding, Recorder } from '../../plan/recorder.ts'
import type { AttentionOp, AttentionShape, Tensor } from '../ops.ts'
import { planCachedAttention } from './cached.ts'
import { attentionDispatch, attentionKernel, each, registers, walk } from './walk.wgsl.ts'

export function planAttention(recorder: Recorder): AttentionOp {
  return {
    forward(qTensor, kTensor, vTensor, shape, segments) {
      const { batch, tokens, heads, headDim, causal } = shape
      const kernel = attentionKernel(recorder, headDim)
      const { vec, size } = kernel
      const rows = batch * tokens
      const out = recorder.tensor([rows, heads * headDim])
      const logSumExp = recorder.tensor([rows, heads])
      const as = vectorsOf(vec.size)
      attentionDispatch(
        kernel,
        {
          name: 'attention.forward',
          reads: { q: as(qTensor), k: as(kTensor), v: as(vTensor), ...starts(segments) },
          writes: { y: as(out), logSumExp },
          flops: 4 * rows * heads * headDim * (causal ? (tokens + 1) / 2 : tokens),
        },
        shape,
        `${queryRow(shape, vec.count)}
${registers(kernel, 'query', 'sum')}
${each(kernel, (own, at) => `${own('query')} = q[qAt + ${at}] * ${scaleOf(shape)};`)}
  var top = -3.0e38f;
  var total = 0.0f;
${walk(kernel, {
  ...keysOf(shape, vec.count, size, segments),
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
${each(kernel, (own, at) => `y[qAt + ${at}] = ${own('sum')} / total;`)}
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
      const kernel = attentionKernel(recorder, headDim)
      const { vec, size } = kernel
      const rows = batch * tokens
      const as = vectorsOf(vec.size)
      const logSumExp = asPlanTensor(logSumExpTensor)
      const delta = recorder.tensor([rows, heads])
      const pairs = rows * heads * (causal ? (tokens + 1) / 2 : tokens)
      const scale = scaleOf(shape)
      const reads = {
        dOut: as(dOutTensor),
        q: as(qTensor),
        k: as(kTensor),
        v: as(vTensor),
        logSumExp,
        ...starts(segments),
      }
      const dq = recorder.tensor([rows, heads * headDim])
      attentionDispatch(
        kernel,
        {
          name: 'attention.dq',
          reads: { ...reads, out: as(outTensor) },
          writes: { dq: as(dq), delta },
          flops: 6 * pairs * headDim,
        },
        shape,
        `${queryRow(shape, vec.count)}
${registers(kernel, 'query', 'upstream', 'sum')}
  var rowDelta = 0.0f;
${each(kernel, (own, at) => `${own('query')} = q[qAt + ${at}] * ${scale}; ${own('upstream')} = dOut[qAt + ${at}]; rowDelta += ${vec.dot(own('upstream'), `out[qAt + ${at}]`)};`)}
  let lse = logSumExp[row * ${heads}u + head];
${walk(kernel, {
  ...keysOf(shape, vec.count, size, segments),
  operands: ['k', 'v'],
  body: (entry) => `    var score = 0.0f;
    var dp = 0.0f;
${each(kernel, (own, _, c) => `score += ${vec.dot(own('query'), entry(0, c))}; dp += ${vec.dot(own('upstream'), entry(1, c))};`)}
    let ds = select(0.0f, exp(score - lse) * (dp - rowDelta) * ${scale}, ${seen(shape, segments)});
${each(kernel, (own, _, c) => `${own('sum')} += ds * ${entry(0, c)};`)}`,
})}
  if (t >= ${tokens}u) { return; }
  delta[row * ${heads}u + head] = rowDelta;
${each(kernel, (own, at) => `dq[qAt + ${at}] = ${own('sum')};`)}`,
      )

      const dk = recorder.tensor([rows, kvHeads * headDim])
      const dv = recorder.tensor([rows, kvHeads * headDim])
      const group = heads / kvHeads
      attentionDispatch(
        kernel,
        {
          name: 'attention.dkv',
          reads: { ...reads, delta },
          writes: { dk: as(dk), dv: as(dv) },
          flops: 8 * pairs * headDim,
        },
        { batch, tokens, heads: kvHeads },
        // `t` is the key's row here, and `j` walks over the queries.
        `  let ownAt = (firstRow + min(t, ${tokens - 1}u)) * ${kvHeads * vec.count}u + head * ${vec.count}u;
${registers(kernel, 'key', 'val', 'keySum', 'valSum')}
${each(kernel, (own, c) => `${own('key')} = k[ownAt + ${c}] * ${scale}; ${own('val')} = v[ownAt + ${c}];`)}
  for (var g = 0u; g < ${group}u; g++) {
    let queryHead = head * ${group}u + g;
${walk(kernel, {
  operands: ['q', 'dOut'],
  first: causal ? 't0' : '0u',
  end: `${tokens}u`,
  at: `(firstRow + j) * ${heads * vec.count}u + queryHead * ${vec.count}u`,
  body: (entry) => `    let row = firstRow + j;
${segments ? `    if (u32(segments[row]) >= t0 + ${size}u) { break; } // the next document` : ''}
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
${each(kernel, (own, c) => `dk[ownAt + ${c}] = ${own('keySum')}; dv[ownAt + ${c}] = ${own('valSum')};`)}`,
      )
      return { dq, dk, dv }
    },

    cached: planCachedAttention(recorder),
  }
}

const vectorsOf =
  (vector: 1 | 2 | 4) =>
  (tensor: Tensor): Binding => ({ tensor: asPlanTensor(tensor), vector })

const scaleOf = ({ headDim }: AttentionShape) => `${1 / Math.sqrt(headDim)}f`

const starts = (segments: Tensor | undefined): Record<string, Binding> =>
  segments ? { segments: asPlanTensor(segments) } : {}

/** The invocation's query row; those past the window's end take its last, and write nothing. */
const queryRow = ({ tokens, heads, kvHeads }: AttentionShape, count: number) =>
  `  let row = firstRow + min(t, ${tokens - 1}u);
  let qAt = row * ${heads * count}u + head * ${count}u;
  let kvStart = firstRow * ${kvHeads * count}u + (head / ${heads / kvHeads}u) * ${count}u;`

/** The keys that any query of the workgroup sees: documents begin in order, so its first query's is the first. */
const keysOf = (
  { tokens, kvHeads, causal }: AttentionShape,
  count: number,
  size: number,
  segments: Tensor | undefined,
) => ({
  first: segments ? 'u32(segments[firstRow + t0])' : '0u',
  end: causal ? `min(t0 + ${size}u, ${tokens}u)` : `${tokens}u`,
  at: `kvStart + j * ${kvHeads * count}u`,
})

/** Whether the invocation's query sees key j. */
const seen = ({ causal }: AttentionShape, segments: Tensor | undefined) =>
  causal ? `j <= t${segments ? ' && j >= u32(segments[row])' : ''}` : 'true'
