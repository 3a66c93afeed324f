/** Rows of several kinds in one sequence, in tfjs: joined, the last of them taken, and pooled. */
import * as tf from '@tensorflow/tfjs-core'
import { byPicture, native, native2d, tidy, wrap } from '../eager-context.ts'
import type { LastRowsOp, Ops } from '../ops.ts'

export const eagerJoinRows: Ops['joinRows'] = (a, b, positions, pictures) =>
  tidy(() => {
    const rows = tf.concat([byPicture(native2d(a), pictures), byPicture(native2d(b), pictures)], 1)
    const placed = tf.add(rows, tf.expandDims(native2d(positions), 0)) // [pictures, m + n, width]
    return wrap(tf.reshape(placed, [-1, a.shape[1]]))
  })

export const eagerLastRows: LastRowsOp = {
  forward: (x, pictures, count) =>
    tidy(() => {
      const all = byPicture(native2d(x), pictures) // [pictures, tokens, width]
      const last = tf.slice3d(all, [0, all.shape[1] - count, 0], [pictures, count, all.shape[2]])
      return wrap(tf.reshape(last, [pictures * count, all.shape[2]]))
    }),

  backward: (dy, pictures, tokens) =>
    tidy(() => {
      const last = byPicture(native2d(dy), pictures) // [pictures, count, width]
      const [, count, width] = last.shape
      const before = tf.zeros([pictures, tokens - count, width])
      return wrap(tf.reshape(tf.concat([before, last], 1), [pictures * tokens, width]))
    }),
}

export const eagerWeightedRows: Ops['weightedRows'] = (x, weights, groups) =>
  tidy(() => {
    const weighted = tf.mul(native2d(x), tf.expandDims(native(weights), 1))
    return wrap(tf.sum(byPicture(weighted, groups), 1)) // [groups, width]
  })

export const eagerColumns: Ops['columns'] = (parts) => tidy(() => wrap(tf.concat(parts.map(native2d), 1)))
