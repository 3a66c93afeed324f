/** The modulated norm recorded: one dispatch each way. Formulas: `models/ops/ops.ts`, `./eager.ts`. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import { normBackward, normForward, reciprocalOfRow } from '../norm-rows.wgsl.ts'
import type { ModulatedNormOp } from '../ops.ts'
import { perPictureAt, tokensOf } from '../per-picture.ts'

export function planModulatedNorm(recorder: Recorder): ModulatedNormOp {
  return {
    forward(xTensor, shift, scale, eps) {
      const x = asPlanTensor(xTensor)
      const { rows, width } = x
      const tokens = tokensOf(rows, scale.values.shape[0])
      const y = recorder.tensor(x.shape)
      const at = { row: 'row', tokens, width }
      recorder.dispatch({
        name: 'modulatedNorm.forward',
        reads: { x, shift: asPlanTensor(shift.values), scale: asPlanTensor(scale.values) },
        writes: { y },
        ...rowKernel(
          recorder,
          rows,
          normForward(
            { width, eps },
            `x[xAt + c] * r * (1.0f + ${perPictureAt('scale', scale, at)}) + ${perPictureAt('shift', shift, at)}`,
          ),
        ),
        flops: 6 * rows * width,
      })
      return y
    },

    backward(dyTensor, xTensor, scale, eps, options) {
      const x = asPlanTensor(xTensor)
      const { rows, width } = x
      const tokens = tokensOf(rows, scale.values.shape[0])
      const dx = recorder.tensor(x.shape)
      const addTo = options?.addTo && asPlanTensor(options.addTo)
      const factor = `(1.0f + ${perPictureAt('scale', scale, { row: 'row', tokens, width })})`
      recorder.dispatch({
        name: 'modulatedNorm.backward',
        reads: { dy: asPlanTensor(dyTensor), x, scale: asPlanTensor(scale.values), ...(addTo && { addTo }) },
        writes: { dx },
        ...rowKernel(
          recorder,
          rows,
          normBackward({ width, eps }, { g: `dy[start + c] * ${factor}`, addTo: addTo !== undefined }),
        ),
        flops: 12 * rows * width,
      })
      return dx
    },

    modulationGradients(dyTensor, xTensor, pictures, eps) {
      const x = asPlanTensor(xTensor)
      const { rows, width } = x
      const tokens = tokensOf(rows, pictures)
      const reciprocal = recorder.tensor([rows])
      recorder.dispatch({
        name: 'modulatedNorm.reciprocal',
        reads: { x },
        writes: { reciprocal },
        ...rowKernel(
          recorder,
          rows,
          `${reciprocalOfRow({ width, eps })}
  if (lane == 0u) { reciprocal[row] = r; }`,
        ),
        flops: 2 * rows * width,
      })
      const dShift = recorder.tensor([pictures, width])
      const dScale = recorder.tensor([pictures, width])
      recorder.dispatch({
        name: 'modulatedNorm.modulationGradients',
        reads: { dy: asPlanTensor(dyTensor), x, reciprocal },
        writes: { dShift, dScale },
        ...lineKernel(
          pictures * width,
          `  let first = i / ${width}u * ${tokens}u;
  let c = i % ${width}u;
  var shift = 0.0f;
  var scale = 0.0f;
  for (var row = first; row < first + ${tokens}u; row++) {
    let d = dy[row * ${width}u + c];
    shift += d;
    scale += d * x[row * ${width}u + c] * reciprocal[row];
  }
  dShift[i] = shift;
  dScale[i] = scale;`,
        ),
        flops: 4 * rows * width,
      })
      return { dShift, dScale }
    },
  }
}
