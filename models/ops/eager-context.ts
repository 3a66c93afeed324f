/**
 * What the eager ops share: how tfjs tensors stand behind `Tensor`, which matrix products a backend is quick
 * at, and tensors worth keeping for longer than one op.
 *
 * tfjs-wasm hands a product to XNNPACK (about 20 GFLOP/s a core) only if it is one plain a·b; with a transpose
 * flag or a batch it falls into scalar loops (about 1.5). There, transposes are made explicitly, batches are
 * looped, and a frozen weight gets a transposed copy when it is first used. XNNPACK packs the right-hand matrix
 * and keeps the packing by tensor id until that tensor is disposed: one data id must never be the right-hand
 * side under two shapes. What it has packed it never reads again, so those numbers are given back: a frozen weight
 * takes two of its own size in training (the packing for each direction) instead of four.
 */
import * as tf from '@tensorflow/tfjs-core'
import { ModelsError } from '../errors.ts'
import type { PerPicture, Tensor } from './ops.ts'

/** The tfjs tensor behind a value of the eager executor. */
export function native(tensor: Tensor): tf.Tensor {
  if (!(tensor instanceof tf.Tensor)) throw new TypeError('This tensor belongs to another executor.')
  return tensor
}

export const native2d = (tensor: Tensor) => native(tensor) as tf.Tensor2D

/** A tfjs tensor as a value of the eager executor. */
export function wrap(tensor: tf.Tensor): Tensor {
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'int32')
    throw new TypeError(`No ${tensor.dtype} tensors here.`)
  return tensor as tf.Tensor & { dtype: 'float32' | 'int32' }
}

/** tf.tidy for bodies that return this project's tensors: frees everything made inside but what is returned. */
export function tidy<T>(body: () => T, name = ''): T {
  return tf.tidy(name, body as () => tf.TensorContainer) as T
}

/** Rows that lie picture by picture: [pictures * tokens, width] -> [pictures, tokens, width]. */
export const byPicture = (rows: tf.Tensor, pictures: number): tf.Tensor3D =>
  tf.reshape(rows, [pictures, -1, rows.shape[1]!])

/** A picture's numbers beside each of its rows: [pictures, 1, width]. */
export function shared({ values, part }: PerPicture, width: number): tf.Tensor3D {
  const own = tf.slice2d(native2d(values), [0, part * width], [values.shape[0], width])
  return tf.expandDims<tf.Tensor3D>(own, 1)
}

/** A backend that is quick at plain, unbatched products alone, and packs their right-hand matrix (wasm). */
export interface PackingBackend {
  /** Gives a tensor's numbers back; from then on it may only be the right-hand side of products, as it was before. */
  release(tensor: tf.Tensor): void
}

export class EagerContext {
  private readonly packing: PackingBackend | null
  private readonly transposedWeights = new Map<number, tf.Tensor2D>()
  /** Weights whose rows are looked up, and weights whose numbers were given back, by tensor id. */
  private readonly tables = new Set<number>()
  private readonly released = new Set<number>()
  private readonly lasting = new Map<string, tf.Tensor>()
  private readonly ofThisRun = new Map<string, tf.Tensor>()

  constructor(packing: PackingBackend | null) {
    this.packing = packing
  }

  /** True where only plain, unbatched products are quick. */
  get plainProducts(): boolean {
    return this.packing !== null
  }

  /** x Wᵀ with a frozen weight: x [rows, in], weight [out, in] -> [rows, out]. */
  timesFrozenTransposed(x: tf.Tensor2D, weight: tf.Tensor2D): tf.Tensor2D {
    if (!this.packing) return tf.matMul(x, weight, false, true)
    const known = this.transposedWeights.get(weight.id)
    if (known) return tf.matMul(x, known)
    const transposed = tf.keep(tf.transpose(weight))
    this.transposedWeights.set(weight.id, transposed)
    const product = tf.matMul<tf.Tensor2D>(x, transposed)
    this.packing.release(transposed)
    return product
  }

  /** dy W with a frozen weight: dy [rows, out], weight [out, in] -> [rows, in]. */
  timesFrozen(dy: tf.Tensor2D, weight: tf.Tensor2D): tf.Tensor2D {
    const product = tf.matMul<tf.Tensor2D>(dy, weight)
    const { id } = weight
    // Before the transposed copy is made the numbers are still needed.
    if (this.packing && this.transposedWeights.has(id) && !this.tables.has(id) && !this.released.has(id)) {
      this.packing.release(weight)
      this.released.add(id)
    }
    return product
  }

  /** A weight whose rows are looked up by id: its numbers stay. */
  table(weight: tf.Tensor2D): tf.Tensor2D {
    if (this.released.has(weight.id))
      throw new ModelsError(
        'tensor/released',
        'A table is looked up whose numbers were given back after a product; look it up before.',
      )
    this.tables.add(weight.id)
    return weight
  }

  /** aᵀ b: [n, i], [n, j] -> [i, j], or with one leading batch axis. Quickest where b is the narrow one. */
  transposedTimes<T extends tf.Tensor>(a: T, b: T): T {
    if (!this.plainProducts) return tf.matMul(a, b, true, false)
    return tidy(() => tf.matMul<T>(tf.transpose(a, a.rank === 2 ? [1, 0] : [0, 2, 1]), b))
  }

  /**
   * Cuts the batch axis of 3-D tensors into pieces that a product is quick for; the other backends take the
   * whole batch at once.
   */
  pieces(x: tf.Tensor3D): tf.Tensor3D[] {
    if (!this.plainProducts || x.shape[0] === 1) return [x]
    const [count, rows, columns] = x.shape
    return Array.from({ length: count }, (_, i) => tf.slice3d(x, [i, 0, 0], [1, rows, columns]))
  }

  /** A tensor that depends on shapes alone; made once and kept until `dispose`. */
  shared<T extends tf.Tensor>(key: string, make: () => T): T {
    return remember(this.lasting, key, make)
  }

  /** A tensor computed from `source`, made once in this run of a program and freed at its end. */
  oncePerRun<T extends tf.Tensor>(label: string, source: tf.Tensor, make: () => T): T {
    return remember(this.ofThisRun, `${label} ${source.id}`, make)
  }

  endRun(): void {
    tf.dispose([...this.ofThisRun.values()])
    this.ofThisRun.clear()
  }

  /** Frees what was derived from a constant that is about to go. */
  forget(weight: tf.Tensor): void {
    this.transposedWeights.get(weight.id)?.dispose()
    this.transposedWeights.delete(weight.id)
    this.tables.delete(weight.id)
    this.released.delete(weight.id)
  }

  dispose(): void {
    this.endRun()
    tf.dispose([...this.transposedWeights.values(), ...this.lasting.values()])
    this.transposedWeights.clear()
    this.lasting.clear()
  }
}

function remember<T extends tf.Tensor>(store: Map<string, tf.Tensor>, key: string, make: () => T): T {
  const known = store.get(key)
  if (known) return known as T
  const made = tf.keep(tidy(make))
  store.set(key, made)
  return made
}
