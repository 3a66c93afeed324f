/**
 * Layers trained whole, in tfjs: y = x Wᵀ; dx = dy W, dW = dyᵀ x; the head's gradient is summed over the chunks of rows
 * that its logits are made in; a table's rows gather the gradients of their ids.
 */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, tidy, wrap } from '../eager-context.ts'
import { EagerParameter } from '../eager-parameters.ts'
import { logitChunks } from '../linear-cross-entropy/eager.ts'
import type { DenseOp, Parameter, Tensor } from '../ops.ts'
import { eagerRmsNorm } from '../rms-norm/eager.ts'

export class EagerDense implements DenseOp {
  private readonly context: EagerContext

  constructor(context: EagerContext) {
    this.context = context
  }

  forward(x: Tensor, weight: Parameter, options: { residual?: Tensor } = {}): Tensor {
    return tidy(() => {
      const y = tf.matMul<tf.Tensor2D>(native2d(x), this.transposed(weight)) // [rows, out]
      return wrap(options.residual ? tf.add(y, native(options.residual)) : y)
    })
  }

  backward(dy: Tensor, x: Tensor, weight: Parameter, options: { addTo?: Tensor } = {}): Tensor {
    return tidy(() => {
      const gradient = native2d(dy)
      slot(weight).setGradient(this.context.transposedTimes(gradient, native2d(x))) // [out, in]
      const dx = tf.matMul<tf.Tensor2D>(gradient, native2d(weight.value)) // [rows, in]
      return wrap(options.addTo ? tf.add(dx, native(options.addTo)) : dx)
    })
  }

  norm(x: Tensor, gain: Parameter, eps: number): Tensor {
    return tidy(() => eagerRmsNorm.forward(x, wrap(vector(gain)), eps))
  }

  normBackward(
    dy: Tensor,
    x: Tensor,
    gain: Parameter,
    eps: number,
    options: { addTo?: Tensor } = {},
  ): Tensor {
    return tidy(() => {
      const rows = native2d(x)
      const scale = tf.rsqrt(tf.add(tf.mean(tf.square(rows), 1, true), eps)) // [rows, 1]
      slot(gain).setGradient(tf.sum<tf.Tensor2D>(tf.mul(tf.mul(native(dy), rows), scale), 0, true)) // [1, width]
      return eagerRmsNorm.backward(dy, x, wrap(vector(gain)), eps, options)
    })
  }

  crossEntropy(
    x: Tensor,
    weight: Parameter,
    targets: Tensor,
    rowWeights: Tensor,
  ): { nll: Tensor; dx: Tensor } {
    return tidy(() => {
      let sum: tf.Tensor2D | undefined
      const table = native2d(weight.value)
      const transposed = this.transposed(weight)
      const chunks = logitChunks(native2d(x), table.shape[0], targets, rowWeights, {
        logits: (hidden) => tf.matMul(hidden, transposed),
        backward: (dLogits, hidden) => {
          const own = this.context.transposedTimes(dLogits, hidden) // [vocabulary, width]
          const before = sum
          sum = tf.keep(before ? tf.add<tf.Tensor2D>(before, own) : own)
          before?.dispose()
          return tf.matMul(dLogits, table)
        },
      })
      slot(weight).setGradient(sum!)
      return {
        nll: wrap(tf.concat(chunks.map(({ nll }) => nll))),
        dx: wrap(tf.concat(chunks.map(({ dx }) => dx!))),
      }
    })
  }

  lookUp(ids: Tensor, table: Parameter): Tensor {
    return wrap(tf.gather(native2d(table.value), native(ids) as tf.Tensor1D))
  }

  lookUpBackward(dy: Tensor, ids: Tensor, table: Parameter): void {
    const scattered = tidy(() =>
      tf.scatterND(tf.expandDims(native(ids), 1), native2d(dy), [...table.shape]),
    ) as tf.Tensor2D
    slot(table).setGradient(scattered)
  }

  private transposed({ value }: Parameter): tf.Tensor2D {
    const weight = native2d(value)
    return this.context.oncePerRun('transposed', weight, () => tf.transpose(weight))
  }
}

const vector = ({ value, shape }: Parameter): tf.Tensor1D => tf.reshape(native(value), [shape[1]])

function slot(parameter: Parameter): EagerParameter {
  if (!(parameter instanceof EagerParameter))
    throw new TypeError('This parameter belongs to another executor.')
  return parameter
}
