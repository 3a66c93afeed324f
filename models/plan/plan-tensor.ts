/**
 * Tensors as a recording sees them. A `Storage` is memory that will be one GPUBuffer (or a share of one); a
 * `PlanTensor` is a shape over a range of it. Persistent storage (weights, parameters, inputs) exists before the
 * recording; transient storage gets its buffer from the layout, once all lifetimes are known.
 */
import type { DType, Tensor } from '../ops/ops.ts'

export type Storage =
  | { readonly kind: 'persistent'; readonly buffer: GPUBuffer }
  | { readonly kind: 'transient'; readonly id: number; readonly bytes: number }

export class PlanTensor implements Tensor {
  readonly storage: Storage
  readonly shape: readonly number[]
  readonly dtype: DType
  /** A multiple of 256, WebGPU's default alignment of binding offsets. */
  readonly offsetBytes: number

  constructor(storage: Storage, shape: readonly number[], dtype: DType = 'float32', offsetBytes = 0) {
    this.storage = storage
    this.shape = shape
    this.dtype = dtype
    this.offsetBytes = offsetBytes
  }

  get elements(): number {
    return this.shape.reduce((product, size) => product * size, 1)
  }

  get bytes(): number {
    return this.elements * 4
  }

  get rows(): number {
    return this.shape[0]
  }

  get width(): number {
    return this.shape.length > 1 ? this.shape[1] : 1
  }

  /** Rows first..first+count of a [rows, width] or [rows] tensor, without a copy. */
  rowRange(first: number, count: number): PlanTensor {
    const offset = this.offsetBytes + first * this.width * 4
    if (offset % BINDING_ALIGNMENT !== 0)
      throw new RangeError(`row ${first} starts at byte ${offset}, not at a multiple of 256`)
    return new PlanTensor(this.storage, [count, ...this.shape.slice(1)], this.dtype, offset)
  }
}

/** minStorageBufferOffsetAlignment's default, which every device allows. */
export const BINDING_ALIGNMENT = 256

export function alignUp(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

/** A tensor handed to a plan must be a plan's; another executor's is a programming error. */
export function asPlanTensor(tensor: Tensor): PlanTensor {
  if (!(tensor instanceof PlanTensor))
    throw new TypeError('a tensor of another engine was given to the plan executor')
  return tensor
}
