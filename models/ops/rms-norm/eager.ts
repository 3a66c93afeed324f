/**
 * RMSNorm over the last axis, in tfjs. Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467
 *
 * With r = 1 / sqrt(mean(x²) + eps), n = x r and g = dy weight:  y = n weight,  dx = r (g - n mean(g n)).
 */
import * as tf from '@tensorflow/tfjs-core'
import { native, native2d, tidy, wrap } from '../eager-context.ts'
import type { RmsNormOp, Tensor } from '../ops.ts'

/** Rows as long as the weight: a row of several groups is as many rows. */
const grouped = (x: Tensor, weight: Tensor): tf.Tensor2D => tf.reshape(native2d(x), [-1, weight.shape[0]])

function reciprocalRms(x: tf.Tensor2D, eps: number): tf.Tensor2D {
  return tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), eps)) // [rows, 1]
}

export const eagerRmsNorm: RmsNormOp = {
  forward(x: Tensor, weight: Tensor, eps: number): Tensor {
    return tidy(() => {
      const input = grouped(x, weight)
      const y = tf.mul(tf.mul(input, reciprocalRms(input, eps)), native(weight)) // [rows, width]
      return wrap(tf.reshape(y, [...x.shape]))
    })
  },

  backward(dy: Tensor, x: Tensor, weight: Tensor, eps: number, options: { addTo?: Tensor } = {}): Tensor {
    return tidy(() => {
      const input = grouped(x, weight)
      const r = reciprocalRms(input, eps) // [rows, 1]
      const n = tf.mul(input, r) // [rows, width]
      const g = tf.mul(grouped(dy, weight), native(weight)) // [rows, width]
      const along = tf.mean(tf.mul(g, n), 1, true) // [rows, 1]
      const dx = tf.reshape(tf.mul(tf.sub(g, tf.mul(n, along)), r), [...x.shape])
      return wrap(options.addTo ? tf.add(dx, native2d(options.addTo)) : dx)
    })
  },
}
