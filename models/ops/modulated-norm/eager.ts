/**
 * RMSNorm without weights, then scaled and shifted by numbers of the picture, in tfjs.
 *
 * With r = 1 / sqrt(mean(x²) + eps), n = x r and g = dy (1 + scale):  dx = r (g - n mean(g n)),
 * dShift = sum of dy, dScale = sum of dy n over the picture's rows.
 */
import * as tf from '@tensorflow/tfjs-core'
import { byPicture, native2d, shared, tidy, wrap } from '../eager-context.ts'
import type { ModulatedNormOp } from '../ops.ts'

/** [rows, 1] */
const reciprocalRms = (x: tf.Tensor2D, eps: number) => tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), eps))

export const eagerModulatedNorm: ModulatedNormOp = {
  forward(x, shift, scale, eps) {
    return tidy(() => {
      const input = native2d(x)
      const [pictures, width] = [scale.values.shape[0], x.shape[1]]
      const n = byPicture(tf.mul(input, reciprocalRms(input, eps)), pictures) // [pictures, tokens, width]
      const y = tf.add(tf.mul(n, tf.add(shared(scale, width), 1)), shared(shift, width))
      return wrap(tf.reshape(y, [...x.shape]))
    })
  },

  backward(dy, x, scale, eps, options = {}) {
    return tidy(() => {
      const input = native2d(x)
      const [pictures, width] = [scale.values.shape[0], x.shape[1]]
      const r = reciprocalRms(input, eps)
      const n = tf.mul(input, r) // [rows, width]
      const scaled = tf.mul(byPicture(native2d(dy), pictures), tf.add(shared(scale, width), 1))
      const g = tf.reshape(scaled, [...x.shape]) // [rows, width]
      const along = tf.mean(tf.mul(g, n), 1, true) // [rows, 1]
      const dx = tf.mul(tf.sub(g, tf.mul(n, along)), r)
      return wrap(options.addTo ? tf.add(dx, native2d(options.addTo)) : dx)
    })
  },

  modulationGradients(dy, x, pictures, eps) {
    return tidy(() => {
      const input = native2d(x)
      const n = tf.mul(input, reciprocalRms(input, eps))
      const sum = (rows: tf.Tensor) => wrap(tf.sum(byPicture(rows, pictures), 1)) // [pictures, width]
      return { dShift: sum(native2d(dy)), dScale: sum(tf.mul(native2d(dy), n)) }
    })
  },
}
