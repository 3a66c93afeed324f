/** What generation needs of the head: logits of the last row alone, [rows, width], [out, width] -> [1, out]. */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native2d, tidy, wrap } from '../eager-context.ts'
import type { Ops } from '../ops.ts'

export const eagerLastRowLogits =
  (context: EagerContext): Ops['lastRowLogits'] =>
  (x, weight) =>
    tidy(() => {
      const rows = native2d(x)
      const last = tf.slice(rows, [rows.shape[0] - 1, 0], [1, rows.shape[1]]) // [1, width]
      return wrap(context.timesFrozenTransposed(last, native2d(weight)))
    })
