/** Mean squared error by picture, in tfjs. dy = 2 weight (y - target) / (rows * width). */
import * as tf from '@tensorflow/tfjs-core'
import { native, tidy, wrap } from '../eager-context.ts'
import type { SquaredErrorOp, Tensor } from '../ops.ts'

/** [pictures, rows * width] */
const difference = (y: Tensor, target: Tensor, pictures: number) =>
  tf.reshape(tf.sub(native(y), native(target)), [pictures, -1])

/** 0 where the weight is 0. */
function losses(apart: tf.Tensor, weights: Tensor): Tensor {
  const counts = tf.cast(tf.notEqual(native(weights), 0), 'float32')
  return wrap(tf.mul(tf.mean(tf.square(apart), 1), counts)) // [pictures]
}

export const eagerSquaredError: SquaredErrorOp = {
  forward: (y, target, weights) => tidy(() => losses(difference(y, target, weights.shape[0]), weights)),

  forwardBackward: (y, target, weights) =>
    tidy(() => {
      const apart = difference(y, target, weights.shape[0])
      const factors = tf.mul(tf.expandDims(native(weights), 1), 2 / apart.shape[1]!) // [pictures, 1]
      return {
        loss: losses(apart, weights),
        dy: wrap(tf.reshape(tf.mul(apart, factors), [...y.shape])),
      }
    }),
}
