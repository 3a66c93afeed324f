/** RMSNorm recorded: one dispatch forward (of few rows none, where products do it), one backward. Formulas: `models/ops/ops.ts`, `./eager.ts`. */
import { asColumns, asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import { normBackward, normForward } from '../norm-rows.wgsl.ts'
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
        normForward({ width, eps, xAt: groupAt(x, width) }, 'x[xAt + c] * r * weight[c]'),
      )
      recorder.dispatch({
        name: 'rmsNorm.forward',
        reads: { x, weight: asPlanTensor(weightTensor) },
        writes: { y },
        ...kernel,
        flops: 4 * rows * width,
      })
      // Where nothing but products of few rows read y, no one needs the dispatch.
      if (width === x.width && !x.within) recorder.normed(y, { x, weight: asPlanTensor(weightTensor), eps })
      return y
    },

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
        normBackward(
          { width, eps, xAt: groupAt(x, width) },
          {
            setUp: `  let dyAt = ${groupAt(dy, width)};`,
            g: 'dy[dyAt + c] * weight[c]',
            addTo: addTo !== undefined,
          },
        ),
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
