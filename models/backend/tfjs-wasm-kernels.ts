/**
 * Three of tfjs-wasm's data-moving kernels again, in plain loops over the wasm heap. tfjs's own copy the whole
 * input out of the heap for each slice, and walk transposes and gathers entry by entry: in a training step of
 * the embedded model they cost a quarter of the time. One core, milliseconds, tfjs -> here: transpose of
 * [512, 512] 1.2 -> 0.5; 512 rows of 192 gathered 4.7 -> 0.08; one of 24 slices of [24, 128, 128] 1.2 -> 0.01.
 *
 * Anything outside the cases written here goes to tfjs's own kernel.
 */

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'

interface KernelCall {
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>
  readonly attrs?: tf.NamedAttrMap
  readonly backend: BackendWasm
}

/** Returns null where the case is not one it handles. */
type Replacement = (call: KernelCall) => tf.TensorInfo | null

/** Replaces the kernels in tfjs's registry; to be called once, after the backend was created. */
export function installWasmKernels(): void {
  replace('Slice', slice)
  replace('Transpose', transpose)
  replace('GatherV2', gatherRows)
}

function replace(kernelName: string, replacement: Replacement): void {
  const original = tf.getKernel(kernelName, 'wasm')
  tf.unregisterKernel(kernelName, 'wasm')
  tf.registerKernel({
    ...original,
    kernelFunc: (parameters) =>
      replacement(parameters as unknown as KernelCall) ?? original.kernelFunc(parameters),
  })
}

/** Float32 views of an input and a new output; the output is allocated first, since growing moves the heap. */
function views(
  backend: BackendWasm,
  x: tf.TensorInfo,
  outShape: number[],
): { input: Float32Array; output: Float32Array; out: tf.TensorInfo } {
  const out = backend.makeOutput(outShape, 'float32')
  return {
    out,
    input: backend.typedArrayFromHeap(x) as Float32Array,
    output: backend.typedArrayFromHeap(out) as Float32Array,
  }
}

/** Slices that are one stretch of memory. */
function slice({ inputs: { x }, attrs, backend }: KernelCall): tf.TensorInfo | null {
  const { begin, size } = attrs as { begin: number | number[]; size: number | number[] }
  const [starts, sizes] = tf.slice_util.parseSliceParams(x as tf.Tensor, begin, size)
  if (x.dtype !== 'float32' || !tf.slice_util.isSliceContinous(x.shape, starts, sizes)) return null
  tf.slice_util.assertParamsValid(x as tf.Tensor, starts, sizes)
  const offset = tf.slice_util.computeFlatOffset(starts, tf.util.computeStrides(x.shape))
  const { input, output, out } = views(backend, x, sizes)
  output.set(input.subarray(offset, offset + output.length))
  return out
}

/** Whole rows of a matrix, or single entries of a vector, by one list of ids. */
function gatherRows({ inputs: { x, indices }, attrs, backend }: KernelCall): tf.TensorInfo | null {
  const { axis, batchDims } = attrs as { axis: number; batchDims: number }
  if (x.dtype !== 'float32' || indices.dtype !== 'int32') return null
  if (axis !== 0 || batchDims !== 0 || x.shape.length > 2 || indices.shape.length !== 1) return null
  const [rows, width = 1] = x.shape
  const outShape = x.shape.length === 2 ? [indices.shape[0], width] : [indices.shape[0]]
  const { input, output, out } = views(backend, x, outShape)
  const ids = backend.typedArrayFromHeap(indices) as Int32Array
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    if (id < 0 || id >= rows) throw new RangeError(`row ${id} of a table of ${rows}`)
    if (width === 1) output[i] = input[id]
    else output.set(input.subarray(id * width, (id + 1) * width), i * width)
  }
  return out
}

/**
 * Permutations that move the last axis: each plane of (input's last axis, output's last axis) is a matrix
 * transpose. Where the last axis stays, tfjs's own kernel is quick.
 */
function transpose({ inputs: { x }, attrs, backend }: KernelCall): tf.TensorInfo | null {
  const { perm } = attrs as { perm: number[] }
  const inLast = x.shape.length - 1
  const outLast = perm[inLast]
  if (x.dtype !== 'float32' || inLast === outLast || x.shape.length < 2) return null
  const outShape = perm.map((axis) => x.shape[axis])
  const { input, output, out } = views(backend, x, outShape)
  const inStrides = [...tf.util.computeStrides(x.shape), 1]
  const outStrides = [...tf.util.computeStrides(outShape), 1]
  // The axes outside the planes, with their strides on both sides.
  const outer = perm
    .map((axis, i) => ({ axis, length: x.shape[axis], inStride: inStrides[axis], outStride: outStrides[i] }))
    .filter(({ axis }) => axis !== inLast && axis !== outLast)
  const planes = outer.reduce((product, { length }) => product * length, 1)
  for (let plane = 0; plane < planes; plane++) {
    let from = 0
    let to = 0
    let rest = plane
    for (const { length, inStride, outStride } of outer) {
      const index = rest % length
      rest = (rest - index) / length
      from += index * inStride
      to += index * outStride
    }
    transposePlane(
      { values: input, start: from, stride: inStrides[outLast] },
      { values: output, start: to, stride: outStrides[perm.indexOf(inLast)] },
      x.shape[outLast],
      x.shape[inLast],
    )
  }
  return out
}

interface Plane {
  readonly values: Float32Array
  readonly start: number
  /** Entries from one row of the plane to the next. */
  readonly stride: number
}

/** to[column, row] = from[row, column], in squares of 4 x 4 written out: twice as quick as any loop tried. */
function transposePlane(from: Plane, to: Plane, rows: number, columns: number): void {
  const a = from.values
  const b = to.values
  const wholeRows = rows & ~3
  const wholeColumns = columns & ~3
  for (let column = 0; column < wholeColumns; column += 4) {
    for (let row = 0; row < wholeRows; row += 4) {
      const a0 = from.start + row * from.stride + column
      const a1 = a0 + from.stride
      const a2 = a1 + from.stride
      const a3 = a2 + from.stride
      const b0 = to.start + column * to.stride + row
      const b1 = b0 + to.stride
      const b2 = b1 + to.stride
      const b3 = b2 + to.stride
      b[b0] = a[a0]
      b[b0 + 1] = a[a1]
      b[b0 + 2] = a[a2]
      b[b0 + 3] = a[a3]
      b[b1] = a[a0 + 1]
      b[b1 + 1] = a[a1 + 1]
      b[b1 + 2] = a[a2 + 1]
      b[b1 + 3] = a[a3 + 1]
      b[b2] = a[a0 + 2]
      b[b2 + 1] = a[a1 + 2]
      b[b2 + 2] = a[a2 + 2]
      b[b2 + 3] = a[a3 + 2]
      b[b3] = a[a0 + 3]
      b[b3 + 1] = a[a1 + 3]
      b[b3 + 2] = a[a2 + 3]
      b[b3 + 3] = a[a3 + 3]
    }
  }
  // What is left of rows or columns when they are no multiples of four.
  for (let row = 0; row < rows; row++) {
    for (let column = row < wholeRows ? wholeColumns : 0; column < columns; column++) {
      b[to.start + column * to.stride + row] = a[from.start + row * from.stride + column]
    }
  }
}
