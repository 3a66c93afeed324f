/**
 * Rotary positions recorded: one invocation turns one pair, of one tensor or of two. The backward turns the other way, in
 * place where the two are columns of one tensor, so that they stay beside what else is in it.
 */
import { asColumns, asPlanTensor, type PlanTensor, sameStorage } from '../../plan/plan-tensor.ts'
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
    const [head, ...others] = inputs
    const inPlace =
      direction === 'backward' &&
      others.length > 0 &&
      inputs.every(({ within, storage }) => within && sameStorage(storage, head.storage))
    const outputs = inPlace ? inputs : inputs.map(({ shape }) => recorder.tensor(shape))
    const names = inputs.map((_, index) => (inPlace ? ['x', 'x'] : [`x${index}`, `y${index}`]))
    const half = headDim / 2
    const pairs = inputs.map(({ elements }) => elements / 2)
    const total = pairs.reduce((sum, count) => sum + count, 0)
    let before = 0
    const branches = inputs.map((input, index) => {
      const { width } = input
      const [x, y] = names[index]
      const first = before
      before += pairs[index]
      return `if (i < ${before}u) {
    let at = i - ${first}u;
    let row = at / ${width / 2}u;
    let inRow = at % ${width / 2}u;
    let pair = inRow % ${half}u;
    let inHead = (inRow / ${half}u) * ${headDim}u + pair;
    let first = row * ${input.stride}u + ${input.first}u + inHead;
    let turned = row * ${outputs[index].stride}u + ${outputs[index].first}u + inHead;
    let angle = u32(positions[row]) * ${headDim}u + pair;
    let c = table[angle];
    let s = ${direction === 'backward' ? '-' : ''}table[angle + ${half}u];
    let a = ${x}[first];
    let b = ${x}[first + ${half}u];
    ${y}[turned] = a * c - b * s;
    ${y}[turned + ${half}u] = b * c + a * s;
  }`
    })
    recorder.dispatch({
      name: `rotary.${direction}`,
      reads: {
        ...(!inPlace && Object.fromEntries(inputs.map((x, index) => [`x${index}`, x]))),
        table: asPlanTensor(table),
        positions: asPlanTensor(positions),
      },
      ...(inPlace
        ? { updates: { x: head.wider }, writes: {} }
        : { writes: Object.fromEntries(outputs.map((y, index) => [`y${index}`, y])) }),
      ...lineKernel(total, `  ${branches.join(' else ')}`),
      flops: 6 * total,
    })
    return outputs as Turned<Inputs>
  }
  return {
    forward: (x, table, positions, headDim) =>
      rotate('forward', [asColumns(x)] as const, table, positions, headDim)[0],
    backward: (dy, table, positions, headDim) =>
      rotate('backward', [asColumns(dy)] as const, table, positions, headDim)[0],
    both: (direction, [x, y], table, positions, headDim) =>
      rotate(direction, [asColumns(x), asColumns(y)] as const, table, positions, headDim),
  }
}
