/** The gated residual recorded: elementwise, one dispatch each way. */
import { asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { GatedAddOp, PerPicture } from '../ops.ts'
import { perPictureAt, tokensOf } from '../per-picture.ts'

/** WGSL for the gate of element `i`. */
function gateAt({ rows, width }: PlanTensor, gate: PerPicture): string {
  const tokens = tokensOf(rows, gate.values.shape[0])
  return `  let c = i % ${width}u;
  let g = ${perPictureAt('gate', gate, { row: `(i / ${width}u)`, tokens, width })};
`
}

export function planGatedAdd(recorder: Recorder): GatedAddOp {
  return {
    forward(xTensor, yTensor, gate) {
      const x = asPlanTensor(xTensor)
      const out = recorder.tensor(x.shape)
      recorder.dispatch({
        name: 'gatedAdd.forward',
        reads: { x, y: asPlanTensor(yTensor), gate: asPlanTensor(gate.values) },
        writes: { sum: out },
        ...lineKernel(x.elements, `${gateAt(x, gate)}  sum[i] = x[i] + g * y[i];`),
        flops: 2 * x.elements,
      })
      return out
    },

    backward(dyTensor, gate) {
      const dy = asPlanTensor(dyTensor)
      const out = recorder.tensor(dy.shape)
      recorder.dispatch({
        name: 'gatedAdd.backward',
        reads: { dy, gate: asPlanTensor(gate.values) },
        writes: { gated: out },
        ...lineKernel(dy.elements, `${gateAt(dy, gate)}  gated[i] = g * dy[i];`),
        flops: dy.elements,
      })
      return out
    },

    gateGradient(dyTensor, yTensor, pictures) {
      const dy = asPlanTensor(dyTensor)
      const { rows, width } = dy
      const tokens = tokensOf(rows, pictures)
      const out = recorder.tensor([pictures, width])
      recorder.dispatch({
        name: 'gatedAdd.gateGradient',
        reads: { dy, y: asPlanTensor(yTensor) },
        writes: { dGate: out },
        ...lineKernel(
          pictures * width,
          `  let first = i / ${width}u * ${tokens}u;
  let c = i % ${width}u;
  var sum = 0.0f;
  for (var row = first; row < first + ${tokens}u; row++) {
    sum += dy[row * ${width}u + c] * y[row * ${width}u + c];
  }
  dGate[i] = sum;`,
        ),
        flops: 2 * rows * width,
      })
      return out
    },
  }
}
