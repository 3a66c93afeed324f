/**
 * SwiGLU: silu(gate) up, with silu(g) = g s(g), s the logistic function. Shazeer 2020,
 * https://arxiv.org/abs/2002.05202 . All tensors [rows, width].
 *
 *   dUp = dy g s        dGate = dy up s (1 + g (1 - s))
 */
import * as tf from '@tensorflow/tfjs-core'
import { native, tidy, wrap } from '../eager-context.ts'
import type { GateAndUp, Linear, LinearOp, SwiGluOp, Tensor } from '../ops.ts'

export class EagerSwiGlu implements SwiGluOp {
  private readonly linear: LinearOp

  constructor(linear: LinearOp) {
    this.linear = linear
  }

  forward(gate: Tensor, up: Tensor): Tensor {
    return tidy(() => {
      const g = native(gate)
      return wrap(tf.mul(tf.mul(g, tf.sigmoid(g)), native(up)))
    })
  }

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
  }

  ofLayers(x: Tensor, layers: GateAndUp): Tensor {
    return tidy(() => this.ofLayersKept(x, layers).activated)
  }

  ofLayersKept(x: Tensor, layers: GateAndUp): { gate: Tensor; up: Tensor; activated: Tensor } {
    const [gate, up] = this.linear.forwardEach(x, layers)
    return { gate, up, activated: this.forward(gate, up) }
  }

  backwardThrough(
    dy: Tensor,
    activated: Tensor,
    down: Linear,
    gate: Tensor,
    up: Tensor,
  ): { dGate: Tensor; dUp: Tensor } {
    return tidy(() => this.backward(this.linear.backward(dy, activated, down), gate, up))
  }
}
