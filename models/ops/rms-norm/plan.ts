/** RMSNorm recorded: one dispatch forward, one backward. Formulas: `models/ops/ops.ts`, `./eager.ts`. */
import { asColumns, asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import type { RmsNormOp } from '../ops.ts'

export function planRmsNorm(recorder: Recorder): RmsNormOp {
  return {
    forward(xTensor, weightTensor, eps) {
      const x = asColumns(xTensor)
      const y = recorder.tensor(x.shape)
      const width = weightTensor.shape[0]
      const rows = x.elements / width
      const kernel = rowKernel(
        recorder,
        rows,
        `  let start = row * ${width}u;
  let xAt = ${groupAt(x, width)};
  var squares = 0.0f;
  for (var c = lane; c < ${width}u; c += LANES) { let v = x[xAt + c]; squares += v * v; }
  let scale = inverseSqrt(reduceSum(squares) / ${width}.0f + ${eps}f);
  for (var c = lane; c < ${width}u; c += LANES) { y[start + c] = x[xAt + c] * scale * weight[c]; }`,
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
      const x = asColumns(xTensor)
      const dy = asColumns(dyTensor)
      const dx = recorder.tensor(x.shape)
      const width = weightTensor.shape[0]
      const rows = x.elements / width
      const addTo = options?.addTo && asPlanTensor(options.addTo)
      const kernel = rowKernel(
        recorder,
        rows,
        `  let start = row * ${width}u;
  let xAt = ${groupAt(x, width)};
  let dyAt = ${groupAt(dy, width)};
  var squares = 0.0f;
  var products = 0.0f;
  for (var c = lane; c < ${width}u; c += LANES) {
    let v = x[xAt + c];
    squares += v * v;
    products += dy[dyAt + c] * weight[c] * v;
  }
  let scale = inverseSqrt(reduceSum(squares) / ${width}.0f + ${eps}f);
  let pull = reduceSum(products) / ${width}.0f * scale * scale * scale;
  for (var c = lane; c < ${width}u; c += LANES) {
    dx[start + c] = dy[dyAt + c] * weight[c] * scale - x[xAt + c] * pull${addTo ? ' + addTo[start + c]' : ''};
  }`,
      )
      recorder.dispatch({
        name: 'rmsNorm.backward',
        reads: { dy, x, weight: asPlanTensor(weightTensor), ...(addTo && { addTo }) },
        writes: { dx },
        ...kernel,
        flops: 10 * rows * width,
      })
      return dx
    },
  }
}

/** Where group `row` of x starts in what is bound, x [rows, groups * width]. */
function groupAt(x: PlanTensor, width: number): string {
  const groups = x.width / width
  return x.within ? `row / ${groups}u * ${x.stride}u + ${x.first}u + row % ${groups}u * ${width}u` : 'start'
}
