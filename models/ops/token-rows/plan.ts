/** Rows of several kinds in one sequence, recorded: joined, the last of them taken, pooled, and side by side. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { LastRowsOp, Ops } from '../ops.ts'
import { tokensOf } from '../per-picture.ts'

export function planJoinRows(recorder: Recorder): Ops['joinRows'] {
  return (aTensor, bTensor, positionsTensor, pictures) => {
    const a = asPlanTensor(aTensor)
    const b = asPlanTensor(bTensor)
    const { width } = a
    const [m, n] = [tokensOf(a.rows, pictures), tokensOf(b.rows, pictures)]
    const y = recorder.tensor([pictures * (m + n), width])
    recorder.dispatch({
      name: 'joinRows',
      reads: { a, b, positions: asPlanTensor(positionsTensor) },
      writes: { y },
      ...lineKernel(
        y.elements,
        `  let c = i % ${width}u;
  let picture = i / ${(m + n) * width}u;
  let t = i / ${width}u % ${m + n}u;
  var row: f32;
  if (t < ${m}u) { row = a[(picture * ${m}u + t) * ${width}u + c]; }
  else { row = b[(picture * ${n}u + t - ${m}u) * ${width}u + c]; }
  y[i] = row + positions[t * ${width}u + c];`,
      ),
      flops: y.elements,
    })
    return y
  }
}

export function planLastRows(recorder: Recorder): LastRowsOp {
  return {
    forward(xTensor, pictures, count) {
      const x = asPlanTensor(xTensor)
      const tokens = tokensOf(x.rows, pictures)
      const y = recorder.tensor([pictures * count, x.width])
      recorder.dispatch({
        name: 'lastRows.forward',
        reads: { x },
        writes: { y },
        ...lineKernel(
          y.elements,
          `  let row = i / ${x.width}u;
  y[i] = x[(row / ${count}u * ${tokens}u + ${tokens - count}u + row % ${count}u) * ${x.width}u + i % ${x.width}u];`,
        ),
        flops: 0,
      })
      return y
    },

    backward(dyTensor, pictures, tokens) {
      const dy = asPlanTensor(dyTensor)
      const count = tokensOf(dy.rows, pictures)
      const before = tokens - count
      const dx = recorder.tensor([pictures * tokens, dy.width])
      recorder.dispatch({
        name: 'lastRows.backward',
        reads: { dy },
        writes: { dx },
        ...lineKernel(
          dx.elements,
          `  let row = i / ${dy.width}u;
  let t = row % ${tokens}u;
  if (t < ${before}u) { dx[i] = 0.0f; }
  else { dx[i] = dy[(row / ${tokens}u * ${count}u + t - ${before}u) * ${dy.width}u + i % ${dy.width}u]; }`,
        ),
        flops: 0,
      })
      return dx
    },
  }
}

export function planWeightedRows(recorder: Recorder): Ops['weightedRows'] {
  return (xTensor, weightsTensor, groups) => {
    const x = asPlanTensor(xTensor)
    const each = tokensOf(x.rows, groups)
    const y = recorder.tensor([groups, x.width])
    recorder.dispatch({
      name: 'weightedRows',
      reads: { x, weights: asPlanTensor(weightsTensor) },
      writes: { y },
      ...lineKernel(
        y.elements,
        `  let first = i / ${x.width}u * ${each}u;
  var sum = 0.0f;
  for (var row = first; row < first + ${each}u; row++) { sum += weights[row] * x[row * ${x.width}u + i % ${x.width}u]; }
  y[i] = sum;`,
      ),
      flops: 2 * x.elements,
    })
    return y
  }
}

/** WebGPU's default limit is eight storage buffers a dispatch, the result among them. */
const MAX_PARTS = 7

export function planColumns(recorder: Recorder): Ops['columns'] {
  return (tensors) => {
    const parts = tensors.map(asPlanTensor)
    if (parts.length > MAX_PARTS)
      throw new RangeError(`${parts.length} parts side by side, at most ${MAX_PARTS}`)
    const { rows, width } = parts[0]
    const y = recorder.tensor([rows, parts.length * width])
    recorder.dispatch({
      name: 'columns',
      reads: Object.fromEntries(parts.map((part, index) => [`part${index}`, part])),
      writes: { y },
      ...lineKernel(
        rows * width,
        `  let at = i / ${width}u * ${parts.length * width}u + i % ${width}u;
${parts.map((_, index) => `  y[at + ${index * width}u] = part${index}[i];`).join('\n')}`,
      ),
      flops: 0,
    })
    return y
  }
}
