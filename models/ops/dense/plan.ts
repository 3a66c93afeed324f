/**
 * Layers trained whole, recorded. A weight's gradient is one product over the batch's rows, written straight into its slot;
 * the head's, whose logits come in bands, is summed from band to band. A table's gradient is cleared and then each id's
 * first row adds up all rows of that id: every sum has one order, and no atomics are needed.
 */
import { gradientSlot } from '../../plan/parameters.ts'
import { asPlanTensor, PlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import { planEmbedding } from '../embedding/plan.ts'
import { matmul } from '../linear/matmul.wgsl.ts'
import { planLinear } from '../linear/plan.ts'
import { planLinearCrossEntropy } from '../linear-cross-entropy/plan.ts'
import type { DenseOp, Parameter } from '../ops.ts'
import { planRmsNorm } from '../rms-norm/plan.ts'

/** A parameter [1, width] as the vector [width] that norms take. */
function vector({ value, shape }: Parameter): PlanTensor {
  const { storage, offsetBytes } = asPlanTensor(value)
  return new PlanTensor(storage, [shape[1]], 'float32', offsetBytes)
}

export function planDense(recorder: Recorder): DenseOp {
  const linear = planLinear(recorder)
  const rmsNorm = planRmsNorm(recorder)

  /** y = dyᵀ x (+ residual): dy [rows, out], x [rows, in] -> [out, in]. */
  const outer = (dy: PlanTensor, x: PlanTensor, y: PlanTensor, residual?: PlanTensor) =>
    matmul(recorder, {
      name: 'dense.gradient',
      m: dy.width,
      n: x.width,
      k: x.rows,
      a: dy,
      aLayout: 'km',
      b: x,
      bLayout: 'kn',
      y,
      ...(residual && { residual }),
    })

  return {
    forward: (x, weight, options) => linear.forward(x, { weight: weight.value }, options),

    backward(dy, x, weight, options) {
      outer(asPlanTensor(dy), asPlanTensor(x), gradientSlot(weight))
      return linear.backward(dy, x, { weight: weight.value }, options)
    },

    norm: (x, gain, eps) => rmsNorm.forward(x, vector(gain), eps),

    normBackward(dyTensor, xTensor, gain, eps, options) {
      const [dy, x] = [asPlanTensor(dyTensor), asPlanTensor(xTensor)]
      const { rows, width } = x
      const scales = recorder.tensor([rows])
      recorder.dispatch({
        name: 'dense.scales',
        reads: { x },
        writes: { scales },
        ...rowKernel(
          recorder,
          rows,
          `  var squares = 0.0f;
  for (var c = lane; c < ${width}u; c += LANES) { let v = x[row * ${width}u + c]; squares += v * v; }
  let scale = inverseSqrt(reduceSum(squares) / ${width}.0f + ${eps}f);
  if (lane == 0u) { scales[row] = scale; }`,
        ),
        flops: 2 * rows * width,
      })
      recorder.dispatch({
        name: 'dense.gainGradient',
        reads: { dy, x, scales },
        writes: { gradient: gradientSlot(gain) },
        ...lineKernel(
          width,
          `  var sum = 0.0f;
  for (var row = 0u; row < ${rows}u; row++) {
    sum += dy[row * ${width}u + i] * x[row * ${width}u + i] * scales[row];
  }
  gradient[i] = sum;`,
        ),
        flops: 3 * rows * width,
      })
      return rmsNorm.backward(dy, x, vector(gain), eps, options)
    },

    crossEntropy(x, weight, targets, rowWeights) {
      const bands: { dLogits: PlanTensor; x: PlanTensor }[] = []
      const head = planLinearCrossEntropy(recorder, (dLogits, x) => bands.push({ dLogits, x }))
      const result = head.forwardBackward(x, weight.value, targets, rowWeights)
      let sum: PlanTensor | undefined
      bands.forEach(({ dLogits, x }, band) => {
        const y = band === bands.length - 1 ? gradientSlot(weight) : recorder.tensor(weight.shape)
        outer(dLogits, x, y, sum)
        sum = y
      })
      return result
    },

    lookUp: (ids, table) => planEmbedding(recorder)(ids, table.value),

    lookUpBackward(dyTensor, idsTensor, table) {
      const [dy, ids] = [asPlanTensor(dyTensor), asPlanTensor(idsTensor)]
      const [vocabulary, width] = table.shape
      const gradient = gradientSlot(table)
      recorder.dispatch({
        name: 'dense.clearTable',
        reads: {},
        writes: { gradient },
        ...lineKernel(vocabulary * width, '  gradient[i] = 0.0f;'),
        flops: 0,
      })
      const { rows } = ids
      recorder.dispatch({
        name: 'dense.tableGradient',
        reads: { dy, ids },
        writes: { gradient },
        ...lineKernel(
          rows * width,
          `  let row = i / ${width}u;
  let column = i % ${width}u;
  let id = min(u32(ids[row]), ${vocabulary - 1}u);
  for (var before = 0u; before < row; before++) {
    if (min(u32(ids[before]), ${vocabulary - 1}u) == id) { return; }
  }
  var sum = 0.0f;
  for (var other = row; other < ${rows}u; other++) {
    if (min(u32(ids[other]), ${vocabulary - 1}u) == id) { sum += dy[other * ${width}u + column]; }
  }
  gradient[id * ${width}u + column] = sum;`,
        ),
        flops: rows * width,
      })
    },
  }
}
