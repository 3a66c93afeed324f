/**
 * Attention recorded, never storing a [tokens, tokens] matrix: the forward walks the keys with a running
 * maximum and sum (Milakov & Gimelshein 2018, https://arxiv.org/abs/1805.02867; FlashAttention,
 * https://arxiv.org/abs/2205.14135) and keeps the logarithm of the sum; the backward makes the probabilities
 * again from it. One invocation owns one query row (forward, dq) or one key row (dk, dv), so no two write the
 * same place and every sum has one order. Neighbouring invocations read the same key rows at the same time.
 */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { type Binding, lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { AttentionOp, AttentionShape, Tensor } from '../ops.ts'

interface Vectors {
  readonly size: 1 | 2 | 4
  /** Vectors in one head. */
  readonly count: number
  readonly type: string
  readonly zero: string
  readonly dot: (a: string, b: string) => string
}

function vectors(headDim: number): Vectors {
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

export function planAttention(recorder: Recorder): AttentionOp {
  return {
    forward(qTensor, kTensor, vTensor, shape, segments) {
      const { batch, tokens, heads, kvHeads, headDim, causal } = shape
      const vec = vectors(headDim)
      const rows = batch * tokens
      const out = recorder.tensor([rows, heads * headDim])
      const logSumExp = recorder.tensor([rows, heads])
      const as = (tensor: Parameters<typeof asPlanTensor>[0]): Binding => ({
        tensor: asPlanTensor(tensor),
        vector: vec.size,
      })
      recorder.dispatch({
        name: 'attention.forward',
        reads: { q: as(qTensor), k: as(kTensor), v: as(vTensor), ...starts(segments) },
        writes: { y: as(out), logSumExp },
        ...lineKernel(
          rows * heads,
          `${queryIndices(shape, vec)}
${attendOverKeys(vec, {
  keys: 'k',
  values: 'v',
  start: segments && 'u32(segments[row])',
  end: causal ? 't + 1u' : `${tokens}u`,
  keyAt: `kvStart + j * ${kvHeads * vec.count}u`,
})}
  logSumExp[row * ${heads}u + head] = top + log(total);`,
        ),
        flops: 4 * rows * heads * headDim * (causal ? (tokens + 1) / 2 : tokens),
      })
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
      const as = (tensor: Parameters<typeof asPlanTensor>[0]): Binding => ({
        tensor: asPlanTensor(tensor),
        vector: vec.size,
      })
      const logSumExp = asPlanTensor(logSumExpTensor)
      const delta = recorder.tensor([rows, heads])
      recorder.dispatch({
        name: 'attention.delta',
        reads: { dOut: as(dOutTensor), out: as(outTensor) },
        writes: { delta },
        ...lineKernel(
          rows * heads,
          `  var sum = 0.0f;
  for (var c = 0u; c < ${vec.count}u; c++) { sum += ${vec.dot(`dOut[i * ${vec.count}u + c]`, `out[i * ${vec.count}u + c]`)}; }
  delta[i] = sum;`,
        ),
        flops: 2 * rows * heads * headDim,
      })

      const pairs = rows * heads * (causal ? (tokens + 1) / 2 : tokens)
      const scale = `${1 / Math.sqrt(headDim)}f`
      const dq = recorder.tensor([rows, heads * headDim])
      recorder.dispatch({
        name: 'attention.dq',
        reads: {
          dOut: as(dOutTensor),
          q: as(qTensor),
          k: as(kTensor),
          v: as(vTensor),
          logSumExp,
          delta,
          ...starts(segments),
        },
        writes: { dq: as(dq) },
        ...lineKernel(
          rows * heads,
          `${queryIndices(shape, vec)}
  var query: array<${vec.type}, ${vec.count}>;
  var upstream: array<${vec.type}, ${vec.count}>;
  var sum: array<${vec.type}, ${vec.count}>;
  for (var c = 0u; c < ${vec.count}u; c++) {
    query[c] = q[qAt + c] * ${scale};
    upstream[c] = dOut[qAt + c];
    sum[c] = ${vec.zero};
  }
  let lse = logSumExp[row * ${heads}u + head];
  let rowDelta = delta[row * ${heads}u + head];
  let end = ${causal ? 't + 1u' : `${tokens}u`};
  for (var j = ${segments ? 'u32(segments[row])' : '0u'}; j < end; j++) {
    let at = kvStart + j * ${kvHeads * vec.count}u;
    var score = 0.0f;
    var dp = 0.0f;
    for (var c = 0u; c < ${vec.count}u; c++) {
      score += ${vec.dot('query[c]', 'k[at + c]')};
      dp += ${vec.dot('upstream[c]', 'v[at + c]')};
    }
    let ds = exp(score - lse) * (dp - rowDelta) * ${scale};
    for (var c = 0u; c < ${vec.count}u; c++) { sum[c] += ds * k[at + c]; }
  }
  for (var c = 0u; c < ${vec.count}u; c++) { dq[qAt + c] = sum[c]; }`,
        ),
        flops: 6 * pairs * headDim,
      })

      const dk = recorder.tensor([rows, kvHeads * headDim])
      const dv = recorder.tensor([rows, kvHeads * headDim])
      const group = heads / kvHeads
      recorder.dispatch({
        name: 'attention.dkv',
        reads: {
          dOut: as(dOutTensor),
          q: as(qTensor),
          k: as(kTensor),
          v: as(vTensor),
          logSumExp,
          delta,
          ...starts(segments),
        },
        writes: { dk: as(dk), dv: as(dv) },
        ...lineKernel(
          rows * kvHeads,
          `  let j = i % ${tokens}u;
  let kvHead = (i / ${tokens}u) % ${kvHeads}u;
  let firstRow = i / ${tokens * kvHeads}u * ${tokens}u;
  let at = (firstRow + j) * ${kvHeads * vec.count}u + kvHead * ${vec.count}u;
  var key: array<${vec.type}, ${vec.count}>;
  var val: array<${vec.type}, ${vec.count}>;
  var keySum: array<${vec.type}, ${vec.count}>;
  var valSum: array<${vec.type}, ${vec.count}>;
  for (var c = 0u; c < ${vec.count}u; c++) {
    key[c] = k[at + c] * ${scale};
    val[c] = v[at + c];
    keySum[c] = ${vec.zero};
    valSum[c] = ${vec.zero};
  }
  for (var g = 0u; g < ${group}u; g++) {
    let head = kvHead * ${group}u + g;
    for (var t = ${causal ? 'j' : '0u'}; t < ${tokens}u; t++) {
      let row = firstRow + t;
${segments ? '      if (u32(segments[row]) > j) { break; } // the next document' : ''}
      let qAt = row * ${heads * vec.count}u + head * ${vec.count}u;
      var score = 0.0f;
      var dp = 0.0f;
      for (var c = 0u; c < ${vec.count}u; c++) {
        score += ${vec.dot('q[qAt + c]', 'key[c]')};
        dp += ${vec.dot('dOut[qAt + c]', 'val[c]')};
      }
      let p = exp(score - logSumExp[row * ${heads}u + head]);
      let ds = p * (dp - delta[row * ${heads}u + head]) * ${scale};
      for (var c = 0u; c < ${vec.count}u; c++) {
        valSum[c] += p * dOut[qAt + c];
        keySum[c] += ds * q[qAt + c];
      }
    }
  }
  for (var c = 0u; c < ${vec.count}u; c++) { dk[at + c] = keySum[c]; dv[at + c] = valSum[c]; }`,
        ),
        flops: 8 * pairs * headDim,
      })
      return { dq, dk, dv }
    },

    cached(qTensor, kTensor, vTensor, cache, positionsTensor, heads, headDim) {
      const q = asPlanTensor(qTensor)
      const positions = asPlanTensor(positionsTensor)
      const keys = asPlanTensor(cache.keys)
      const values = asPlanTensor(cache.values)
      const vec = vectors(headDim)
      const width = keys.width
      const kvHeads = width / headDim
      recorder.dispatch({
        name: 'attention.cacheWrite',
        reads: { k: asPlanTensor(kTensor), v: asPlanTensor(vTensor), positions },
        writes: { keys, values },
        ...lineKernel(
          q.rows * width,
          `  let at = u32(positions[i / ${width}u]);
  if (at >= ${cache.capacity}u) { return; }
  keys[at * ${width}u + i % ${width}u] = k[i];
  values[at * ${width}u + i % ${width}u] = v[i];`,
        ),
        flops: 0,
      })
      const out = recorder.tensor(q.shape)
      recorder.dispatch({
        name: 'attention.cached',
        reads: {
          q: { tensor: q, vector: vec.size },
          keys: { tensor: keys, vector: vec.size },
          values: { tensor: values, vector: vec.size },
          positions,
        },
        writes: { y: { tensor: out, vector: vec.size } },
        ...lineKernel(
          q.rows * heads,
          `  let row = i / ${heads}u;
  let head = i % ${heads}u;
  let kvHead = head / ${heads / kvHeads}u;
  let qAt = i * ${vec.count}u;
${attendOverKeys(vec, {
  keys: 'keys',
  values: 'values',
  end: `min(u32(positions[row]) + 1u, ${cache.capacity}u)`,
  keyAt: `j * ${kvHeads * vec.count}u + kvHead * ${vec.count}u`,
})}`,
        ),
        flops: 4 * q.rows * heads * headDim * cache.capacity,
      })
      return out
    },
  }
}

const starts = (segments: Tensor | undefined): Record<string, Binding> =>
  segments ? { segments: asPlanTensor(segments) } : {}

/**
 * One query's row of the result, at `qAt`: a walk over keys `start`..`end` with a running maximum `top` and sum `total`,
 * which stay in scope. `keyAt` is where key `j` starts.
 */
function attendOverKeys(
  vec: Vectors,
  {
    keys,
    values,
    start = '0u',
    end,
    keyAt,
  }: { keys: string; values: string; start?: string | undefined; end: string; keyAt: string },
): string {
  const scale = `${1 / Math.sqrt(vec.size * vec.count)}f`
  return `  var query: array<${vec.type}, ${vec.count}>;
  var sum: array<${vec.type}, ${vec.count}>;
  for (var c = 0u; c < ${vec.count}u; c++) { query[c] = q[qAt + c] * ${scale}; sum[c] = ${vec.zero}; }
  var top = -3.0e38f;
  var total = 0.0f;
  let end = ${end};
  for (var j = ${start}; j < end; j++) {
    let at = ${keyAt};
    var score = 0.0f;
    for (var c = 0u; c < ${vec.count}u; c++) { score += ${vec.dot('query[c]', `${keys}[at + c]`)}; }
    if (score > top) {
      let shrink = exp(top - score);
      total *= shrink;
      for (var c = 0u; c < ${vec.count}u; c++) { sum[c] *= shrink; }
      top = score;
    }
    let p = exp(score - top);
    total += p;
    for (var c = 0u; c < ${vec.count}u; c++) { sum[c] += p * ${values}[at + c]; }
  }
  for (var c = 0u; c < ${vec.count}u; c++) { y[qAt + c] = sum[c] / total; }`
}

/** From the line index: batch row, head and token of a query, its place in q, and where its keys start. */
function queryIndices({ tokens, heads, kvHeads }: AttentionShape, vec: Vectors): string {
  return `  let t = i % ${tokens}u;
  let head = (i / ${tokens}u) % ${heads}u;
  let firstRow = i / ${tokens * heads}u * ${tokens}u;
  let row = firstRow + t;
  let qAt = row * ${heads * vec.count}u + head * ${vec.count}u;
  let kvStart = firstRow * ${kvHeads * vec.count}u + (head / ${heads / kvHeads}u) * ${vec.count}u;`
}
