/**
 * Rotary position embedding on the halves of each head, as Hugging Face lays them out.
 * Su et al. 2021, https://arxiv.org/abs/2104.09864
 *
 * (a, b) -> (a cos - b sin, b cos + a sin) is x C + (x H) S with H the [headDim, headDim] matrix that maps
 * (a, b) to (-b, a): one non-zero a column, so the product is exact, and one matrix product is quicker than
 * two slices and a concatenation. The inverse rotation is the same with -S.
 */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, tidy, wrap } from '../eager-context.ts'
import type { RotaryOp, Tensor } from '../ops.ts'

export class EagerRotary implements RotaryOp {
  private readonly context: EagerContext

  constructor(context: EagerContext) {
    this.context = context
  }

  forward(x: Tensor, table: Tensor, positions: Tensor, headDim: number): Tensor {
    return this.rotate(x, table, positions, headDim, 1)
  }

  backward(dy: Tensor, table: Tensor, positions: Tensor, headDim: number): Tensor {
    return this.rotate(dy, table, positions, headDim, -1)
  }

  both(
    direction: 'forward' | 'backward',
    [x, y]: readonly [Tensor, Tensor],
    table: Tensor,
    positions: Tensor,
    headDim: number,
  ): [Tensor, Tensor] {
    return [this[direction](x, table, positions, headDim), this[direction](y, table, positions, headDim)]
  }

  private rotate(x: Tensor, table: Tensor, positions: Tensor, headDim: number, direction: 1 | -1): Tensor {
    return tidy(() => {
      const [rows, width] = x.shape
      const heads = width / headDim
      const input = tf.reshape(native2d(x), [rows * heads, headDim])
      const turned = tf.matMul(input, this.quarterTurn(headDim)) // [rows * heads, headDim]: (-b, a)
      const cos = this.angles(table, positions, headDim, 'cos', 1) // [rows, 1, headDim]
      const sin = this.angles(table, positions, headDim, 'sin', direction) // [rows, 1, headDim]
      const byHead: [number, number, number] = [rows, heads, headDim]
      const sum = tf.add(tf.mul(tf.reshape(input, byHead), cos), tf.mul(tf.reshape(turned, byHead), sin))
      return wrap(tf.reshape(sum, [rows, width]))
    })
  }

  /** H: row i holds where input i goes: a_i to the second half, b_i negated to the first. */
  private quarterTurn(headDim: number): tf.Tensor2D {
    return this.context.shared(`quarter turn ${headDim}`, () => {
      const half = headDim / 2
      const entries = new Float32Array(headDim * headDim)
      for (let i = 0; i < half; i++) {
        entries[i * headDim + half + i] = 1
        entries[(half + i) * headDim + i] = -1
      }
      return tf.tensor2d(entries, [headDim, headDim])
    })
  }

  /** Cosines or signed sines of every row, once for each half: [rows, 1, headDim]. */
  private angles(
    table: Tensor,
    positions: Tensor,
    headDim: number,
    which: 'cos' | 'sin',
    sign: 1 | -1,
  ): tf.Tensor3D {
    const at = native(positions) as tf.Tensor1D
    const label = `${which} ${sign} of ${native(table).id}`
    return this.context.oncePerRun(label, at, () => {
      const rows = tf.gather(native2d(table), at) // [rows, headDim]
      const half = tf.slice(rows, [0, which === 'cos' ? 0 : headDim / 2], [at.shape[0], headDim / 2])
      const signed = sign === 1 ? half : tf.neg(half)
      return tf.reshape(tf.concat([signed, signed], 1), [at.shape[0], 1, headDim])
    })
  }
}
