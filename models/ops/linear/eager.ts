/**
 * A frozen linear layer with an optional low-rank path (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685;
 * with a core R between the factors LoRA-SB, Ponkshe et al. 2024, https://arxiv.org/abs/2411.19557), in tfjs:
 *
 *   y  = x Wᵀ + bias + scale v Bᵀ                u = x Aᵀ, v = u or u Rᵀ [rows, rank]
 *   dx = dy W + h A                              g = scale dy B, h = g or g R [rows, rank]
 *   dA = hᵀ x        dR = gᵀ u        dB = scale dyᵀ v        each only where it is trained
 *
 * dA is computed as (xᵀ h)ᵀ: on the right of a product stands the narrow matrix, which XNNPACK has to pack.
 */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, tidy, wrap } from '../eager-context.ts'
import { EagerParameter } from '../eager-parameters.ts'
import { type Factor, isTrained, type Linear, type LinearOp, type LoraPath, type Tensor } from '../ops.ts'

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
        const v = this.core(this.lowRank(input, layer.lora), layer.lora) // [rows, rank]
        const scaledBT = this.context.oncePerRun(`scaled ${scale} transposed`, value, () =>
          tf.mul<tf.Tensor2D>(tf.transpose(value), scale),
        ) // [rank, out]
        y = tf.add(y, tf.matMul(v, scaledBT))
      }
      if (options.residual) y = tf.add(y, native2d(options.residual))
      return wrap(y)
    })
  }

  forwardEach(x: Tensor, layers: readonly Linear[]): Tensor[] {
    return layers.map((layer) => this.forward(x, layer))
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
      let sum = needInput ? this.context.timesFrozen(gradient, native2d(layer.weight)) : null // [rows, in]
      if (layer.lora) {
        const { lora } = layer
        const { a, b, r, scale } = lora
        const u = once(() => this.lowRank(input, lora)) // [rows, rank]
        if (isTrained(b)) {
          const scaledV = tf.mul<tf.Tensor2D>(this.core(u(), lora), scale)
          slot(b).setGradient(this.context.transposedTimes(gradient, scaledV)) // [out, rank]
        }
        if (sum || isTrained(a) || (r && isTrained(r))) {
          const g = tf.mul<tf.Tensor2D>(tf.matMul(gradient, native2d(b.value)), scale) // [rows, rank]
          if (r && isTrained(r)) slot(r).setGradient(this.context.transposedTimes(g, u())) // [rank, rank]
          const h = r ? tf.matMul<tf.Tensor2D>(g, native2d(r.value)) : g // [rows, rank]
          if (isTrained(a)) slot(a).setGradient(tf.transpose(this.context.transposedTimes(input, h))) // [rank, in]
          if (sum) sum = tf.add(sum, tf.matMul(h, native2d(a.value)))
        }
      }
      if (sum && options.addTo) sum = tf.add(sum, native2d(options.addTo))
      return sum ?? []
    })
    return dx instanceof tf.Tensor ? wrap(dx) : null
  }

  backwardEach(
    dys: readonly Tensor[],
    x: Tensor,
    layers: readonly Linear[],
    options?: { addTo?: Tensor; needInput?: true },
  ): Tensor
  backwardEach(
    dys: readonly Tensor[],
    x: Tensor,
    layers: readonly Linear[],
    options: { needInput: false },
  ): null
  backwardEach(
    dys: readonly Tensor[],
    x: Tensor,
    layers: readonly Linear[],
    options: { addTo?: Tensor; needInput?: boolean } = {},
  ): Tensor | null {
    if (options.needInput === false) {
      for (const [i, layer] of layers.entries()) this.backward(dys[i], x, layer, { needInput: false })
      return null
    }
    let sum = options.addTo
    for (const [i, layer] of layers.entries())
      sum = this.backward(dys[i], x, layer, sum ? { addTo: sum } : {})
    return sum!
  }

  /** u = x Aᵀ [rows, rank]. */
  private lowRank(x: tf.Tensor2D, { a }: LoraPath): tf.Tensor2D {
    return tf.matMul(x, this.transposed(a)) // by [in, rank]
  }

  /** u Rᵀ [rows, rank], or u itself where the path has no core. */
  private core(u: tf.Tensor2D, { r }: LoraPath): tf.Tensor2D {
    return r ? tf.matMul(u, this.transposed(r)) : u
  }

  private transposed(factor: Factor): tf.Tensor2D {
    const value = native2d(factor.value)
    return this.context.oncePerRun('transposed', value, () => tf.transpose(value))
  }
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

function slot(parameter: unknown): EagerParameter {
  if (!(parameter instanceof EagerParameter))
    throw new TypeError('This parameter belongs to another executor.')
  return parameter
}
