/** Mean squared error by picture, recorded: a picture is a row, its gradient one more dispatch. */
import { asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import type { SquaredErrorOp } from '../ops.ts'
import { tokensOf } from '../per-picture.ts'

export function planSquaredError(recorder: Recorder): SquaredErrorOp {
  const losses = (y: PlanTensor, target: PlanTensor, weights: PlanTensor): PlanTensor => {
    const pictures = weights.rows
    const each = tokensOf(y.elements, pictures)
    const loss = recorder.tensor([pictures])
    recorder.dispatch({
      name: 'squaredError.loss',
      reads: { y, wanted: target, weights },
      writes: { loss },
      ...rowKernel(
        recorder,
        pictures,
        `  var squares = 0.0f;
  for (var c = lane; c < ${each}u; c += LANES) {
    let apart = y[row * ${each}u + c] - wanted[row * ${each}u + c];
    squares += apart * apart;
  }
  let mean = reduceSum(squares) / ${each}.0f;
  if (lane == 0u) { loss[row] = select(mean, 0.0f, weights[row] == 0.0f); }`,
      ),
      flops: 3 * y.elements,
    })
    return loss
  }
  return {
    forward: (y, target, weights) => losses(asPlanTensor(y), asPlanTensor(target), asPlanTensor(weights)),

    forwardBackward(yTensor, targetTensor, weightsTensor) {
      const [y, target, weights] = [yTensor, targetTensor, weightsTensor].map(asPlanTensor)
      const each = tokensOf(y.elements, weights.rows)
      const dy = recorder.tensor(y.shape)
      recorder.dispatch({
        name: 'squaredError.gradient',
        reads: { y, wanted: target, weights },
        writes: { dy },
        ...lineKernel(y.elements, `  dy[i] = (y[i] - wanted[i]) * weights[i / ${each}u] * ${2 / each}f;`),
        flops: 3 * y.elements,
      })
      return { loss: losses(y, target, weights), dy }
    },
  }
}
