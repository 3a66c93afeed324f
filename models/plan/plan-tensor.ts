/**
 * Tensors as a recording sees them. A `Storage` is memory that will be one GPUBuffer (or a share of one); a
 * `PlanTensor` is a shape over a range of it. Persistent storage (weights, parameters, inputs) exists before the
 * recording; transient storage gets its buffer from the layout, once all lifetimes are known.
 */
import type { StorageType, Tensor } from '../ops/ops.ts'

export type Storage =
  | { readonly kind: 'persistent'; readonly buffer: GPUBuffer }
  | { readonly kind: 'transient'; readonly id: number; readonly bytes: number }

export class PlanTensor implements Tensor {
  readonly storage: Storage
  readonly shape: readonly number[]
  readonly dtype: StorageType
  /** A multiple of 256, WebGPU's default alignment of binding offsets. */
  readonly offsetBytes: number
  /** Where its rows lie in those of a wider tensor whose memory it shares; undefined where they are one after another. */
  readonly within: { readonly width: number; readonly first: number } | undefined

  constructor(
    storage: Storage,
    shape: readonly number[],
    dtype: StorageType = 'float32',
    offsetBytes = 0,
    within?: { readonly width: number; readonly first: number },
  ) {
    this.storage = storage
    this.shape = shape
    this.dtype = dtype
    this.offsetBytes = offsetBytes
    this.within = within
  }

  get elements(): number {
    return this.shape.reduce((product, size) => product * size, 1)
  }

  /** Of what a kernel binds: the wider tensor's, where its rows lie in one. */
  get bytes(): number {
    const elements = this.within ? this.rows * this.within.width : this.elements
    return elements * BYTES[this.dtype]
  }

  /** Elements from one row to the next. */
  get stride(): number {
    return this.within?.width ?? this.width
  }

  /** Of its first element in what a kernel binds. */
  get first(): number {
    return this.within?.first ?? 0
  }

  get rows(): number {
    return this.shape[0]
  }

  get width(): number {
    return this.shape.length > 1 ? this.shape[1] : 1
  }

  /** Rows first..first+count of a [rows, width] or [rows] tensor, without a copy. */
  rowRange(first: number, count: number): PlanTensor {
    if (this.within) throw new TypeError('rows of columns are no rows one after another')
    const offset = this.offsetBytes + first * this.width * BYTES[this.dtype]
    if (offset % BINDING_ALIGNMENT !== 0)
      throw new RangeError(`row ${first} starts at byte ${offset}, not at a multiple of 256`)
    return new PlanTensor(this.storage, [count, ...this.shape.slice(1)], this.dtype, offset)
  }

  /** The wider tensor whose columns these are; itself where it is whole. */
  get wider(): PlanTensor {
    return this.within
      ? new PlanTensor(this.storage, [this.rows, this.within.width], this.dtype, this.offsetBytes)
      : this
  }

  /** Columns first..first+count of every row, without a copy: for kernels that take them, `asColumns`. */
  columnRange(first: number, count: number): PlanTensor {
    return new PlanTensor(this.storage, [this.rows, count], this.dtype, this.offsetBytes, {
      width: this.stride,
      first: this.first + first,
    })
  }
}

const BYTES: Readonly<Record<StorageType, number>> = { float32: 4, int32: 4, float16: 2 }

/** minStorageBufferOffsetAlignment's default, which every device allows. */
export const BINDING_ALIGNMENT = 256

export function alignUp(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

/** A tensor handed to a plan must be a plan's; another executor's is a programming error. */
export function asPlanTensor(tensor: Tensor): PlanTensor {
  const own = asColumns(tensor)
  if (own.within) throw new TypeError('a kernel that takes whole rows was given columns of a wider tensor')
  return own
}

/** `asPlanTensor` of kernels that reckon with `stride` and `first`. */
export function asColumns(tensor: Tensor): PlanTensor {
  if (!(tensor instanceof PlanTensor))
    throw new TypeError('a tensor of another engine was given to the plan executor')
  return tensor
}

/** Where element `i` of a [rows, width] tensor, row-major, is in what a kernel binds; WGSL. */
export function elementAt({ within, width }: PlanTensor, i = 'i'): string {
  return within ? `(${i} / ${width}u * ${within.width}u + ${within.first}u + ${i} % ${width}u)` : i
}

/**
 * The tensor whose rows are those of `tensors` one after another, where they lie so already: matrices of one width in
 * one buffer without gaps. Null otherwise.
 */
export function adjacent(tensors: readonly PlanTensor[]): PlanTensor | null {
  const [head] = tensors
  let end = head.offsetBytes
  for (const tensor of tensors) {
    const { storage, width, dtype, within, offsetBytes, bytes } = tensor
    const alike = sameStorage(storage, head.storage) && width === head.width && dtype === head.dtype
    if (!alike || within || offsetBytes !== end) return null
    end += bytes
  }
  const rows = tensors.reduce((sum, tensor) => sum + tensor.rows, 0)
  const shape = head.shape.length > 1 ? [rows, head.width] : [rows]
  return new PlanTensor(head.storage, shape, head.dtype, head.offsetBytes)
}

/**
 * The tensor whose columns are those of `tensors` side by side, where they lie so already and fill it. Null otherwise.
 */
export function sideBySide(tensors: readonly PlanTensor[]): PlanTensor | null {
  const [{ storage, offsetBytes, within }] = tensors
  let end = 0
  for (const tensor of tensors) {
    const alike = sameStorage(tensor.storage, storage) && tensor.offsetBytes === offsetBytes
    if (!alike || tensor.within?.width !== within?.width || tensor.within?.first !== end) return null
    end += tensor.width
  }
  return end === within?.width ? tensors[0].wider : null
}

export const sameStorage = (a: Storage, b: Storage): boolean =>
  a.kind === 'persistent' && b.kind === 'persistent'
    ? a.buffer === b.buffer
    : a.kind === 'transient' && b.kind === 'transient' && a.id === b.id
