/**
 * RMSNorm over the last axis, in tfjs. Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467
 *
 * With r = 1 / sqrt(mean(x²) + eps), n = x r and g = dy weight:  y = n weight,  dx = r (g - n mean(g n)).
 */
import * as tf from '@tensorflow/tfjs-core'
import { native, native2d, tidy, wrap } from '../eager-context.ts'
import type { RmsNormOp, Tensor } from '../ops.ts'

function reciprocalRms(x: tf.Tensor2D, eps: number): tf.Tensor2D {
  return tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), eps)) // [rows, 1]
}

export const eagerRmsNorm: RmsNormOp = {
  forward(x: Tensor, weight: Tensor, eps: number): Tensor {
    return tidy(() => {
      const input = native2d(x)
      return wrap(tf.mul(tf.mul(input, reciprocalRms(input, eps)), native(weight))) // [rows, width]
    })
  },

  backward(dy: Tensor, x: Tensor, weight: Tensor, eps: number, options: { addTo?: Tensor } = {}): Tensor {
    return tidy(() => {
      const input = native2d(x)
      const r = reciprocalRms(input, eps) // [rows, 1]
      const n = tf.mul(input, r) // [rows, width]
      const g = tf.mul(native2d(dy), native(weight)) // [rows, width]
      const along = tf.mean(tf.mul(g, n), 1, true) // [rows, 1]
      const dx = tf.mul(tf.sub(g, tf.mul(n, along)), r) // [rows, width]
      return wrap(options.addTo ? tf.add(dx, native2d(options.addTo)) : dx)
    })
  },
}
