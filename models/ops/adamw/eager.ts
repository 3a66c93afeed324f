/**
 * AdamW over one flat vector of every parameter of a set: a dozen tfjs ops a step, whatever the number of
 * matrices. Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101; order and rounding as torch.optim.AdamW:
 *
 *   W -= lr wd W;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²
 *   W -= lr / correction1 · m / (sqrt(v) / sqrt(correction2) + eps)
 *
 * g is the gradient times min(1, maxNorm / (norm + 1e-6)).
 */
import * as tf from '@tensorflow/tfjs-core'
import { native, tidy, wrap } from '../eager-context.ts'
import { EagerParameterSet, FLAT_ROW } from '../eager-parameters.ts'
import type { Ops, ParameterSet } from '../ops.ts'

export const eagerAdamW: Ops['adamw'] = (set, hyper, options) => {
  const parameters = own(set)
  return tidy(() => {
    // In HYPER's order, each [1].
    const [lr, beta1, beta2, epsilon, weightDecay, correction1, correction2, maxNorm] = tf.split(
      native(hyper),
      8,
    )
    const raw = options?.accumulated ? parameters.accumulated() : parameters.flatGradient() // [padded length]
    // Summed by rows first: one long float32 sum would lose digits over millions of entries.
    const squares = tf.sum(tf.reshape(tf.square(raw), [-1, FLAT_ROW]), 1)
    const norm = tf.reshape(tf.sqrt(tf.sum(squares)), [1])
    const clip = tf.where(
      tf.greater(maxNorm, 0),
      tf.minimum(tf.div(maxNorm, tf.add(norm, 1e-6)), 1),
      tf.onesLike(norm),
    ) // [1]
    const gradient = tf.mul(raw, clip)
    const first = tf.add(tf.mul(parameters.first, beta1), tf.mul(gradient, tf.sub(1, beta1)))
    const second = tf.add(tf.mul(parameters.second, beta2), tf.mul(tf.square(gradient), tf.sub(1, beta2)))
    const decayed = tf.mul(parameters.values, tf.sub(1, tf.mul(lr, weightDecay)))
    const denominator = tf.add(tf.div(tf.sqrt(second), tf.sqrt(correction2)), epsilon)
    const values = tf.sub(decayed, tf.mul(tf.div(first, denominator), tf.div(lr, correction1)))
    parameters.replace(values as tf.Tensor1D, first as tf.Tensor1D, second as tf.Tensor1D)
    return wrap(norm)
  })
}

export const eagerAccumulate: Ops['accumulate'] = (set, factors) => {
  const parameters = own(set)
  tidy(() => {
    const [keep, share] = tf.split(native(factors), 2) // [1] each
    const kept = tf.mul(parameters.accumulated(), keep)
    parameters.setAccumulated(tf.add<tf.Tensor1D>(kept, tf.mul(parameters.flatGradient(), share)))
    return []
  })
}

function own(parameters: ParameterSet): EagerParameterSet {
  if (!(parameters instanceof EagerParameterSet))
    throw new TypeError('These parameters belong to another executor.')
  return parameters
}
