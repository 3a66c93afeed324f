/** Tensors whose rows lie in those of a wider one, copied where a kernel needs them otherwise. */
import type { Tensor } from '../ops/ops.ts'
import { asColumns, elementAt, type PlanTensor, sideBySide } from './plan-tensor.ts'
import { lineKernel, type Recorder } from './recorder.ts'

/** The tensor itself, or a copy whose rows lie one after another. */
export function wholeRows(recorder: Recorder, tensor: Tensor): PlanTensor {
  const x = asColumns(tensor)
  return x.within ? copied(recorder, [x]) : x
}

/** [rows, sum of widths]: the wider tensor that all of them fill, or a copy. At most seven, in order. */
export function besideEachOther(recorder: Recorder, tensors: readonly Tensor[]): PlanTensor {
  const parts = tensors.map(asColumns)
  return sideBySide(parts) ?? copied(recorder, parts)
}

function copied(recorder: Recorder, parts: readonly PlanTensor[]): PlanTensor {
  const { rows } = parts[0]
  const width = parts.reduce((sum, part) => sum + part.width, 0)
  const y = recorder.tensor([rows, width])
  let before = 0
  const branches = parts.map((part, index) => {
    const first = before
    before += part.width
    return `if (c < ${before}u) { let at = row * ${part.width}u + c - ${first}u; y[i] = x${index}[${elementAt(part, 'at')}]; }`
  })
  recorder.dispatch({
    name: 'columns.copy',
    reads: Object.fromEntries(parts.map((part, index) => [`x${index}`, part])),
    writes: { y },
    ...lineKernel(
      y.elements,
      `  let row = i / ${width}u;
  let c = i % ${width}u;
  ${branches.join(' else ')}`,
    ),
    flops: 0,
  })
  return y
}
