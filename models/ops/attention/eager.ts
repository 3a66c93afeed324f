/**
 * Attention with grouped heads (Ainslie et al. 2023, https://arxiv.org/abs/2305.13245), in tfjs.
 *
 * The `group` query heads that share a key/value head are stacked into one matrix of group * tokens rows, so
 * that each product covers them all, and the sums over the group in dK and dV come out of the product itself.
 * Backward recomputes the probabilities (a softmax costs less than keeping them) and uses
 * rowsum(dP P) = rowsum(dOut out), as FlashAttention does (Dao et al. 2022, https://arxiv.org/abs/2205.14135).
 */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, tidy, wrap } from '../eager-context.ts'
import { EagerKvCache } from '../eager-kv-cache.ts'
import type { AttentionOp, AttentionShape, KvCache, Tensor } from '../ops.ts'

/** Added to a score that must not be seen: exp of it is 0, and unlike -Infinity it makes no NaN. */
const HIDDEN = -1e30

export class EagerAttention implements AttentionOp {
  private readonly context: EagerContext

  constructor(context: EagerContext) {
    this.context = context
  }

  forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shape: AttentionShape,
    segments?: Tensor,
  ): { out: Tensor; logSumExp: Tensor } {
    return tidy(() => {
      const mask = this.mask(shape, segments)
      const { batch, tokens, heads, headDim } = shape
      const queries = this.context.pieces(this.queries(q, shape)) // each [n, group * tokens, headDim]
      const keysT = this.context.pieces(columns(k, shape)) // each [n, headDim, tokens]
      const values = this.context.pieces(rows(v, shape)) // each [n, tokens, headDim]
      const outs: tf.Tensor3D[] = []
      const sums: tf.Tensor[] = []
      queries.forEach((query, i) => {
        const [out, logSumExp] = tidy(() => {
          const scores = this.scores(query, keysT[i], mask(i)) // [n, group * tokens, tokens]
          const probabilities = tf.softmax(scores)
          // The largest probability is exp(largest score - logSumExp), and never tiny.
          const logSumExp = tf.sub(tf.max(scores, 2), tf.log(tf.max(probabilities, 2)))
          return [tf.matMul(probabilities, values[i]), logSumExp]
        })
        outs.push(out as tf.Tensor3D)
        sums.push(logSumExp)
      })
      const out = backToRows(tf.concat(outs, 0), shape, heads) // [batch * tokens, heads * headDim]
      const byHead = tf.reshape(tf.concat(sums, 0), [batch, heads, tokens])
      const logSumExp = tf.reshape(tf.transpose(byHead, [0, 2, 1]), [batch * tokens, heads])
      return { out: wrap(tf.reshape(out, [batch * tokens, heads * headDim])), logSumExp: wrap(logSumExp) }
    })
  }

  backward(
    dOut: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    _logSumExp: Tensor,
    shape: AttentionShape,
    segments?: Tensor,
  ): { dq: Tensor; dk: Tensor; dv: Tensor } {
    return tidy(() => {
      const mask = this.mask(shape, segments)
      const { batch, tokens, heads, kvHeads, headDim } = shape
      const pieces = (x: tf.Tensor3D) => this.context.pieces(x)
      const queries = pieces(this.queries(q, shape)) // each [n, group * tokens, headDim], scaled
      const keys = pieces(rows(k, shape)) // each [n, tokens, headDim]
      const keysT = pieces(columns(k, shape)) // each [n, headDim, tokens]
      const valuesT = pieces(columns(v, shape)) // each [n, headDim, tokens]
      const dOuts = pieces(grouped(dOut, shape)) // each [n, group * tokens, headDim]
      const products = tf.mul(native2d(dOut), native2d(out)) // [batch * tokens, heads * headDim]
      const overlaps = pieces(
        tf.reshape(
          tf.transpose(tf.sum(tf.reshape(products, [batch, tokens, heads, headDim]), 3), [0, 2, 1]),
          [batch * kvHeads, (heads / kvHeads) * tokens, 1],
        ),
      ) // each [n, group * tokens, 1]
      const scale = 1 / Math.sqrt(headDim)
      const dqs: tf.Tensor3D[] = []
      const dks: tf.Tensor3D[] = []
      const dvs: tf.Tensor3D[] = []
      queries.forEach((query, i) => {
        const [dq, dk, dv] = tidy(() => {
          const probabilities = tf.softmax(this.scores(query, keysT[i], mask(i))) // [n, group * tokens, tokens]
          const dv = this.context.transposedTimes(probabilities, dOuts[i]) // [n, tokens, headDim]
          const dProbabilities = tf.matMul(dOuts[i], valuesT[i]) // [n, group * tokens, tokens]
          const dScores = tf.mul<tf.Tensor3D>(probabilities, tf.sub(dProbabilities, overlaps[i]))
          const dq = tf.mul<tf.Tensor3D>(tf.matMul(dScores, keys[i]), scale) // [n, group * tokens, headDim]
          const dk = this.context.transposedTimes(dScores, query) // [n, tokens, headDim]; query holds the scale
          return [dq, dk, dv]
        })
        dqs.push(dq)
        dks.push(dk)
        dvs.push(dv)
      })
      return {
        dq: wrap(backToRows(tf.concat(dqs, 0), shape, heads)),
        dk: wrap(backToRows(tf.concat(dks, 0), shape, kvHeads)),
        dv: wrap(backToRows(tf.concat(dvs, 0), shape, kvHeads)),
      }
    })
  }

  cached(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cache: KvCache,
    positions: Tensor,
    heads: number,
    headDim: number,
  ): Tensor {
    if (!(cache instanceof EagerKvCache)) throw new TypeError('This cache belongs to another executor.')
    cache.write(native2d(k), native2d(v), native(positions) as tf.Tensor1D)
    return tidy(() => {
      const rowCount = q.shape[0]
      const { capacity } = cache
      const kvHeads = k.shape[1] / headDim
      const group = heads / kvHeads
      const cacheShape = { batch: 1, tokens: capacity, heads, kvHeads, headDim, causal: false }
      const queryShape = { ...cacheShape, tokens: rowCount }
      const queries = this.context.pieces(this.queries(q, queryShape)) // each [n, group * rows, headDim]
      const keysT = this.context.pieces(columns(cache.keys, cacheShape)) // each [n, headDim, capacity]
      const values = this.context.pieces(rows(cache.values, cacheShape)) // each [n, capacity, headDim]
      const visible = tf.lessEqual(tf.range(0, capacity, 1, 'int32'), tf.reshape(native(positions), [-1, 1]))
      const mask = tf.mul(tf.sub(1, tf.cast(visible, 'float32')), HIDDEN) // [rows, capacity]
      const masks = tf.concat(new Array<tf.Tensor>(group).fill(mask), 0) // [group * rows, capacity]
      const outs = queries.map((query, i) => {
        const probabilities = tf.softmax<tf.Tensor3D>(tf.add(tf.matMul(query, keysT[i]), masks))
        return tf.matMul<tf.Tensor3D>(probabilities, values[i]) // [n, group * rows, headDim]
      })
      return wrap(backToRows(tf.concat(outs, 0), queryShape, heads))
    })
  }

  /** q scaled by 1 / sqrt(headDim), heads that share a key stacked: [batch * kvHeads, group * tokens, headDim]. */
  private queries(q: Tensor, shape: AttentionShape): tf.Tensor3D {
    return tf.mul<tf.Tensor3D>(grouped(q, shape), 1 / Math.sqrt(shape.headDim))
  }

  /** [n, group * tokens, headDim], [n, headDim, tokens] -> masked scores [n, group * tokens, tokens]. */
  private scores(query: tf.Tensor3D, keyT: tf.Tensor3D, mask: tf.Tensor | null): tf.Tensor3D {
    const scores = tf.matMul<tf.Tensor3D>(query, keyT)
    return mask ? tf.add<tf.Tensor3D>(scores, mask) : scores
  }

  /** What is added to the scores of piece i: 0 where a key is seen, HIDDEN elsewhere. */
  private mask(shape: AttentionShape, segments: Tensor | undefined): (piece: number) => tf.Tensor | null {
    const causal = shape.causal ? this.causalMask(shape) : null
    if (!segments) return () => causal
    const { batch, tokens, heads, kvHeads } = shape
    const group = heads / kvHeads
    const starts = native(segments)
    const whole = this.context.oncePerRun(`segments ${group} x ${tokens}`, starts, () => {
      const earlier = tf.less(tf.range(0, tokens, 1, 'int32'), tf.reshape(starts, [batch, 1, tokens, 1]))
      const hidden = tf.mul(tf.cast(earlier, 'float32'), HIDDEN) // [batch, 1, tokens, tokens]
      const byHead = tf.tile(hidden, [1, kvHeads * group, 1, 1])
      return tf.add(tf.reshape(byHead, [batch * kvHeads, group * tokens, tokens]), causal ?? 0)
    }) as tf.Tensor3D
    const pieces = this.context.pieces(whole)
    return (piece) => pieces[piece]
  }

  /** [1, group * tokens, tokens]: 0 where the key is not after the query, HIDDEN elsewhere. */
  private causalMask({ heads, kvHeads, tokens }: AttentionShape): tf.Tensor {
    const group = heads / kvHeads
    return this.context.shared(`causal mask ${group} x ${tokens}`, () => {
      const mask = new Float32Array(group * tokens * tokens)
      for (let row = 0; row < group * tokens; row++) {
        mask.fill(HIDDEN, row * tokens + (row % tokens) + 1, (row + 1) * tokens)
      }
      return tf.tensor3d(mask, [1, group * tokens, tokens])
    })
  }
}

/** [batch * tokens, heads * headDim] -> [batch * kvHeads, group * tokens, headDim]. */
function grouped(x: Tensor, { batch, tokens, heads, kvHeads, headDim }: AttentionShape): tf.Tensor3D {
  const byHead = tf.transpose(tf.reshape(native2d(x), [batch, tokens, heads, headDim]), [0, 2, 1, 3])
  return tf.reshape(byHead, [batch * kvHeads, (heads / kvHeads) * tokens, headDim])
}

/** [batch * tokens, kvHeads * headDim] -> [batch * kvHeads, tokens, headDim]. */
function rows(x: Tensor, { batch, tokens, kvHeads, headDim }: AttentionShape): tf.Tensor3D {
  const byHead = tf.transpose(tf.reshape(native2d(x), [batch, tokens, kvHeads, headDim]), [0, 2, 1, 3])
  return tf.reshape(byHead, [batch * kvHeads, tokens, headDim])
}

/** [batch * tokens, kvHeads * headDim] -> [batch * kvHeads, headDim, tokens]. */
function columns(x: Tensor, { batch, tokens, kvHeads, headDim }: AttentionShape): tf.Tensor3D {
  const byHead = tf.transpose(tf.reshape(native2d(x), [batch, tokens, kvHeads, headDim]), [0, 2, 3, 1])
  return tf.reshape(byHead, [batch * kvHeads, headDim, tokens])
}

/** [batch * heads, tokens, headDim], in any cut of the first two -> [batch * tokens, heads * headDim]. */
function backToRows(x: tf.Tensor3D, { batch, tokens, headDim }: AttentionShape, heads: number): tf.Tensor2D {
  const byToken = tf.transpose(tf.reshape(x, [batch, heads, tokens, headDim]), [0, 2, 1, 3])
  return tf.reshape(byToken, [batch * tokens, heads * headDim])
}
