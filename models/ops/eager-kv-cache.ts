/** Keys and values written so far, for generation on tfjs: replaced whole at each write, since tfjs has no writes in place. */
import * as tf from '@tensorflow/tfjs-core'
import { wrap } from './eager-context.ts'
import type { KvCache, Tensor } from './ops.ts'

export class EagerKvCache implements KvCache {
  readonly capacity: number
  private keyRows: tf.Tensor2D
  private valueRows: tf.Tensor2D

  constructor(capacity: number, width: number) {
    this.capacity = capacity
    this.keyRows = tf.keep(tf.zeros([capacity, width]))
    this.valueRows = tf.keep(tf.zeros([capacity, width]))
  }

  get keys(): Tensor {
    return wrap(this.keyRows)
  }

  get values(): Tensor {
    return wrap(this.valueRows)
  }

  /** keys, values [rows, width] go to the cache rows `positions` [rows]. */
  write(keys: tf.Tensor2D, values: tf.Tensor2D, positions: tf.Tensor1D): void {
    const [keyRows, valueRows] = tf.tidy(() => {
      const indices = tf.reshape(positions, [-1, 1])
      return [
        tf.tensorScatterUpdate(this.keyRows, indices, keys) as tf.Tensor2D,
        tf.tensorScatterUpdate(this.valueRows, indices, values) as tf.Tensor2D,
      ]
    })
    this.dispose()
    this.keyRows = tf.keep(keyRows)
    this.valueRows = tf.keep(valueRows)
  }

  dispose(): void {
    tf.dispose([this.keyRows, this.valueRows])
  }
}
