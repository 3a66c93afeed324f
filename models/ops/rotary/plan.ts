/** Rotary positions recorded: one invocation turns one pair, of one tensor or of two. The backward turns the other way. */
import { asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { RotaryOp, Tensor } from '../ops.ts'

type Direction = 'forward' | 'backward'
/** One result for each input. */
type Turned<Inputs> = { -readonly [Index in keyof Inputs]: PlanTensor }

export function planRotary(recorder: Recorder): RotaryOp {
  function rotate<Inputs extends readonly PlanTensor[]>(
    direction: Direction,
    inputs: Inputs,
    table: Tensor,
    positions: Tensor,
    headDim: number,
  ): Turned<Inputs> {
    const outputs = inputs.map(({ shape }) => recorder.tensor(shape))
    const half = headDim / 2
    const pairs = inputs.map(({ elements }) => elements / 2)
    const total = pairs.reduce((sum, count) => sum + count, 0)
    let before = 0
    const branches = inputs.map(({ width }, index) => {
      const first = before
      before += pairs[index]
      return `if (i < ${before}u) {
    let at = i - ${first}u;
    let row = at / ${width / 2}u;
    let inRow = at % ${width / 2}u;
    let pair = inRow % ${half}u;
    let first = row * ${width}u + (inRow / ${half}u) * ${headDim}u + pair;
    let angle = u32(positions[row]) * ${headDim}u + pair;
    let c = table[angle];
    let s = ${direction === 'backward' ? '-' : ''}table[angle + ${half}u];
    let a = x${index}[first];
    let b = x${index}[first + ${half}u];
    y${index}[first] = a * c - b * s;
    y${index}[first + ${half}u] = b * c + a * s;
  }`
    })
    recorder.dispatch({
      name: `rotary.${direction}`,
      reads: {
        ...Object.fromEntries(inputs.map((x, index) => [`x${index}`, x])),
        table: asPlanTensor(table),
        positions: asPlanTensor(positions),
      },
      writes: Object.fromEntries(outputs.map((y, index) => [`y${index}`, y])),
      ...lineKernel(total, `  ${branches.join(' else ')}`),
      flops: 6 * total,
    })
    return outputs as Turned<Inputs>
  }
  return {
    forward: (x, table, positions, headDim) =>
      rotate('forward', [asPlanTensor(x)] as const, table, positions, headDim)[0],
    backward: (dy, table, positions, headDim) =>
      rotate('backward', [asPlanTensor(dy)] as const, table, positions, headDim)[0],
    both: (direction, [x, y], table, positions, headDim) =>
      rotate(direction, [asPlanTensor(x), asPlanTensor(y)] as const, table, positions, headDim),
  }
}
