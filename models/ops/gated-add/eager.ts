/** A residual branch let in by numbers of the picture, in tfjs: y' = x + gate y. */
import * as tf from '@tensorflow/tfjs-core'
import { byPicture, native, native2d, shared, tidy, wrap } from '../eager-context.ts'
import type { GatedAddOp, PerPicture, Tensor } from '../ops.ts'

const gated = (y: Tensor, gate: PerPicture) =>
  tf.reshape(tf.mul(byPicture(native2d(y), gate.values.shape[0]), shared(gate, y.shape[1])), [...y.shape])

export const eagerGatedAdd: GatedAddOp = {
  forward: (x, y, gate) => tidy(() => wrap(tf.add(native(x), gated(y, gate)))),
  backward: (dy, gate) => tidy(() => wrap(gated(dy, gate))),
  gateGradient: (dy, y, pictures) =>
    tidy(() => wrap(tf.sum(byPicture(tf.mul(native(dy), native(y)), pictures), 1))),
}
