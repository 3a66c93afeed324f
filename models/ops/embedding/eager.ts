/** Rows of a table by id: ids [rows] int32, table [vocabulary, width] -> [rows, width]. */
import * as tf from '@tensorflow/tfjs-core'
import { type EagerContext, native, native2d, wrap } from '../eager-context.ts'
import type { Ops } from '../ops.ts'

export const eagerEmbedding =
  (context: EagerContext): Ops['embedding'] =>
  (ids, table) =>
    wrap(tf.gather(context.table(native2d(table)), native(ids) as tf.Tensor1D))
