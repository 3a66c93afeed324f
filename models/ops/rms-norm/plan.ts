/** RMSNorm recorded: one dispatch forward, one backward. Formulas: `models/ops/ops.ts`, `./eager.ts`. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import type { RmsNormOp } from '../ops.ts'

export function planRmsNorm(recorder: Recorder): RmsNormOp {
  return {
    forward(xTensor, weightTensor, eps) {
      const x = asPlanTensor(xTensor)
      const y = recorder.tensor(x.shape)
      const width = weightTensor.shape[0]
      const rows = x.elements / width
      const kernel = rowKernel(
        recorder,
        rows,
        `  let start = row * ${width}u;
  var squares = 0.0f;
  for (var c = lane; c < ${width}u; c += LANES) { let v = x[start + c]; squares += v * v; }
  let scale = inverseSqrt(reduceSum(squares) / ${width}.0f + ${eps}f);
  for (var c = lane; c < ${width}u; c += LANES) { y[start + c] = x[start + c] * scale * weight[c]; }`,
      )
      recorder.dispatch({
        name: 'rmsNorm.forward',
        reads: { x, weight: asPlanTensor(weightTensor) },
        writes: { y },
        ...kernel,
        flops: 4 * rows * width,
      })
      return y
    },

    /** With s = 1 / sqrt(mean(x²) + eps): dx = s (dy w) - x s³ mean(dy w x) (+ addTo). */
    backward(dyTensor, xTensor, weightTensor, eps, options) {
      const x = asPlanTensor(xTensor)
      const dx = recorder.tensor(x.shape)
      const width = weightTensor.shape[0]
      const rows = x.elements / width
      const addTo = options?.addTo && asPlanTensor(options.addTo)
      const kernel = rowKernel(
        recorder,
        rows,
        `  let start = row * ${width}u;
  var squares = 0.0f;
  var products = 0.0f;
  for (var c = lane; c < ${width}u; c += LANES) {
    let v = x[start + c];
    squares += v * v;
    products += dy[start + c] * weight[c] * v;
  }
  let scale = inverseSqrt(reduceSum(squares) / ${width}.0f + ${eps}f);
  let pull = reduceSum(products) / ${width}.0f * scale * scale * scale;
  for (var c = lane; c < ${width}u; c += LANES) {
    dx[start + c] = dy[start + c] * weight[c] * scale - x[start + c] * pull${addTo ? ' + addTo[start + c]' : ''};
  }`,
      )
      recorder.dispatch({
        name: 'rmsNorm.backward',
        reads: { dy: asPlanTensor(dyTensor), x, weight: asPlanTensor(weightTensor), ...(addTo && { addTo }) },
        writes: { dx },
        ...kernel,
        flops: 10 * rows * width,
      })
      return dx
    },
  }
}
