/**
 * SwiGLU: silu(gate) up, with silu(g) = g s(g), s the logistic function. Shazeer 2020,
 * https://arxiv.org/abs/2002.05202 . All tensors [rows, width].
 *
 *   dUp = dy g s        dGate = dy up s (1 + g (1 - s))
 */
import * as tf from '@tensorflow/tfjs-core'
import { native, tidy, wrap } from '../eager-context.ts'
import type { SwiGluOp, Tensor } from '../ops.ts'

export const eagerSwiGlu: SwiGluOp = {
  forward(gate: Tensor, up: Tensor): Tensor {
    return tidy(() => {
      const g = native(gate)
      return wrap(tf.mul(tf.mul(g, tf.sigmoid(g)), native(up)))
    })
  },

  backward(dy: Tensor, gate: Tensor, up: Tensor): { dGate: Tensor; dUp: Tensor } {
    return tidy(() => {
      const g = native(gate)
      const s = tf.sigmoid(g)
      const dySilu = tf.mul(native(dy), s)
      const dUp = tf.mul(dySilu, g)
      // s (1 + g (1 - s)) = s + g s - g s s: here as dy s (1 + g - g s)
      const slope = tf.add(tf.sub(g, tf.mul(g, s)), 1)
      const dGate = tf.mul(tf.mul(dySilu, native(up)), slope)
      return { dGate: wrap(dGate), dUp: wrap(dUp) }
    })
  },
}
