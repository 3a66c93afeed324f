/** Rotary positions recorded: one invocation turns one pair. The backward turns the other way. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { RotaryOp, Tensor } from '../ops.ts'

export function planRotary(recorder: Recorder): RotaryOp {
  const rotate = (
    name: string,
    sign: '+' | '-',
    xTensor: Tensor,
    table: Tensor,
    positions: Tensor,
    headDim: number,
  ) => {
    const x = asPlanTensor(xTensor)
    const y = recorder.tensor(x.shape)
    const half = headDim / 2
    const pairs = (x.rows * x.width) / 2
    const kernel = lineKernel(
      pairs,
      `  let row = i / ${x.width / 2}u;
  let inRow = i % ${x.width / 2}u;
  let pair = inRow % ${half}u;
  let first = row * ${x.width}u + (inRow / ${half}u) * ${headDim}u + pair;
  let at = u32(positions[row]) * ${headDim}u + pair;
  let c = table[at];
  let s = ${sign === '-' ? '-' : ''}table[at + ${half}u];
  let a = x[first];
  let b = x[first + ${half}u];
  y[first] = a * c - b * s;
  y[first + ${half}u] = b * c + a * s;`,
    )
    recorder.dispatch({
      name,
      reads: { x, table: asPlanTensor(table), positions: asPlanTensor(positions) },
      writes: { y },
      ...kernel,
      flops: 6 * pairs,
    })
    return y
  }
  return {
    forward: (x, table, positions, headDim) => rotate('rotary.forward', '+', x, table, positions, headDim),
    backward: (dy, table, positions, headDim) =>
      rotate('rotary.backward', '-', dy, table, positions, headDim),
  }
}
