/**
 * A frozen linear layer with an optional trainable low-rank path (LoRA, Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685), in tfjs:
 *
 *   y  = x Wᵀ + bias + scale (x Aᵀ) Bᵀ          u = x Aᵀ [rows, rank]
 *   dx = dy W + g A                              g = scale dy B [rows, rank]
 *   dA = gᵀ x        dB = scale dyᵀ u
 *
 * dA is computed as (xᵀ g)ᵀ: on the right of a product stands the narrow matrix, which XNNPACK has to pack.
 */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, tidy, wrap } from '../eager-context.ts'
import { EagerParameter } from '../eager-parameters.ts'
import type { Linear, LinearOp, Tensor } from '../ops.ts'

export class EagerLinear implements LinearOp {
  private readonly context: EagerContext

  constructor(context: EagerContext) {
    this.context = context
  }

  forward(x: Tensor, layer: Linear, options: { residual?: Tensor } = {}): Tensor {
    return tidy(() => {
      const input = native2d(x)
      let y = this.context.timesFrozenTransposed(input, native2d(layer.weight)) // [rows, out]
      if (layer.bias) y = tf.add(y, native(layer.bias))
      if (layer.lora) {
        const { b, scale } = layer.lora
        const value = native2d(b.value)
        const u = this.lowRank(input, layer.lora) // [rows, rank]
        const scaledBT = this.context.oncePerRun(`scaled ${scale} transposed`, value, () =>
          tf.mul<tf.Tensor2D>(tf.transpose(value), scale),
        ) // [rank, out]
        y = tf.add(y, tf.matMul(u, scaledBT))
      }
      if (options.residual) y = tf.add(y, native2d(options.residual))
      return wrap(y)
    })
  }

  backward(dy: Tensor, x: Tensor, layer: Linear, options?: { addTo?: Tensor; needInput?: true }): Tensor
  backward(dy: Tensor, x: Tensor, layer: Linear, options: { needInput: false }): null
  backward(
    dy: Tensor,
    x: Tensor,
    layer: Linear,
    options: { addTo?: Tensor; needInput?: boolean } = {},
  ): Tensor | null {
    const needInput = options.needInput ?? true
    const dx = tidy(() => {
      const input = native2d(x)
      const gradient = native2d(dy)
      let sum = needInput ? tf.matMul(gradient, native2d(layer.weight)) : null // [rows, in]
      if (layer.lora) {
        const { a, b, scale } = layer.lora
        const u = this.lowRank(input, layer.lora) // [rows, rank]
        const scaledU = tf.mul<tf.Tensor2D>(u, scale)
        const g = tf.mul<tf.Tensor2D>(tf.matMul(gradient, native2d(b.value)), scale) // [rows, rank]
        slot(a).setGradient(tf.transpose(this.context.transposedTimes(input, g))) // [rank, in]
        slot(b).setGradient(this.context.transposedTimes(gradient, scaledU)) // [out, rank]
        if (sum) sum = tf.add(sum, tf.matMul(g, native2d(a.value)))
      }
      if (sum && options.addTo) sum = tf.add(sum, native2d(options.addTo))
      return sum ?? []
    })
    return dx instanceof tf.Tensor ? wrap(dx) : null
  }

  /** u = x Aᵀ [rows, rank]. */
  private lowRank(x: tf.Tensor2D, { a }: NonNullable<Linear['lora']>): tf.Tensor2D {
    const value = native2d(a.value)
    const transposed = this.context.oncePerRun('transposed', value, () => tf.transpose(value)) // [in, rank]
    return tf.matMul(x, transposed)
  }
}

function slot(parameter: unknown): EagerParameter {
  if (!(parameter instanceof EagerParameter))
    throw new TypeError('This parameter belongs to another executor.')
  return parameter
}
