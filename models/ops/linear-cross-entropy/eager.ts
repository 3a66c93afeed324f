/**
 * Head and cross-entropy in one, so that logits [rows, vocabulary] never exist whole: they are made, used and
 * dropped a chunk of rows at a time, and forward and backward share the softmax.
 *
 *   nll = logSumExp(logits) - logits[target]        dlogits = rowWeight (softmax(logits) - onehot(target))
 */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, tidy, wrap } from '../eager-context.ts'
import type { LinearCrossEntropyOp, Tensor } from '../ops.ts'

/**
 * Logits of one chunk: 4 MB. Also keeps flat indices below 2²⁴, where WebGL's int32 (stored as floats) is exact,
 * and rows below the 65,535 at which tfjs-webgpu's softmax goes wrong without a word.
 */
const CHUNK_LOGITS = 1 << 20

export class EagerLinearCrossEntropy implements LinearCrossEntropyOp {
  private readonly context: EagerContext

  constructor(context: EagerContext) {
    this.context = context
  }

  forward(x: Tensor, weight: Tensor, targets: Tensor, rowWeights: Tensor): Tensor {
    return tidy(() =>
      wrap(tf.concat(this.chunks(x, weight, targets, rowWeights, false).map(({ nll }) => nll))),
    )
  }

  forwardBackward(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    rowWeights: Tensor,
  ): { nll: Tensor; dx: Tensor } {
    return tidy(() => {
      const chunks = this.chunks(x, weight, targets, rowWeights, true)
      return {
        nll: wrap(tf.concat(chunks.map(({ nll }) => nll))),
        dx: wrap(tf.concat(chunks.map(({ dx }) => dx!))),
      }
    })
  }

  private chunks(x: Tensor, weight: Tensor, targets: Tensor, rowWeights: Tensor, backward: boolean) {
    const head = native2d(weight)
    return logitChunks(native2d(x), head.shape[0], targets, rowWeights, {
      logits: (hidden) => this.context.timesFrozenTransposed(hidden, head),
      ...(backward && { backward: (dLogits) => this.context.timesFrozen(dLogits, head) }),
    })
  }
}

export interface HeadProducts {
  /** hidden [count, width] -> [count, vocabulary] */
  logits(hidden: tf.Tensor2D): tf.Tensor2D
  /** dLogits [count, vocabulary] -> the gradient of hidden [count, width]; left out: the forward alone. */
  backward?(dLogits: tf.Tensor2D, hidden: tf.Tensor2D): tf.Tensor2D
}

/** Loss of each row, and with `backward` its input's gradient, a chunk of rows at a time. */
export function logitChunks(
  x: tf.Tensor2D,
  vocabulary: number,
  targets: Tensor,
  rowWeights: Tensor,
  head: HeadProducts,
): { nll: tf.Tensor1D; dx?: tf.Tensor2D }[] {
  const [rows, width] = x.shape
  const chunkRows = Math.max(1, Math.floor(CHUNK_LOGITS / vocabulary))
  const chunks: { nll: tf.Tensor1D; dx?: tf.Tensor2D }[] = []
  for (let start = 0; start < rows; start += chunkRows) {
    const count = Math.min(chunkRows, rows - start)
    chunks.push(
      tidy(() => {
        const hidden = tf.slice(x, [start, 0], [count, width])
        const target = tf.slice(native(targets) as tf.Tensor1D, start, count)
        const rowWeight = tf.slice(native(rowWeights) as tf.Tensor1D, start, count)
        const logits = head.logits(hidden) // [count, vocabulary]
        const probabilities = tf.softmax(logits)
        // The largest probability is exp(largest logit - logSumExp) and never below 1 / vocabulary.
        const logSumExp = tf.sub(tf.max(logits, 1), tf.log(tf.max(probabilities, 1))) // [count]
        const flat = tf.add<tf.Tensor1D>(
          tf.mul(tf.range(0, count, 1, 'int32'), tf.scalar(vocabulary, 'int32')),
          target,
        )
        const chosen = tf.gather(tf.reshape(logits, [count * vocabulary]), flat) // [count]
        const counts = tf.notEqual(rowWeight, 0)
        const nll = tf.where(counts, tf.sub(logSumExp, chosen), tf.zerosLike(rowWeight)) as tf.Tensor1D
        if (!head.backward) return { nll }
        // Cast, since tfjs-wasm's oneHot of float32 writes the integer 1's bits.
        const chosenOne = tf.cast(tf.oneHot(target, vocabulary), 'float32') // [count, vocabulary]
        const difference = tf.sub(probabilities, chosenOne) // [count, vocabulary]
        const dLogits = tf.mul<tf.Tensor2D>(difference, tf.reshape(rowWeight, [count, 1]))
        return { nll, dx: head.backward(dLogits, hidden) } // dx [count, width]
      }),
    )
  }
  return chunks
}
