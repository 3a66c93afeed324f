/** SwiGLU recorded: elementwise, one dispatch each way. Shazeer 2020, https://arxiv.org/abs/2002.05202 */
import { asColumns, asPlanTensor, elementAt, sideBySide } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { SwiGluOp } from '../ops.ts'

export function planSwiGlu(recorder: Recorder): SwiGluOp {
  return {
    forward(gateTensor, upTensor) {
      const gate = asColumns(gateTensor)
      const up = asColumns(upTensor)
      const y = recorder.tensor(gate.shape)
      recorder.dispatch({
        name: 'swiglu.forward',
        reads: { gate, up },
        writes: { y },
        ...lineKernel(
          gate.elements,
          `  let g = gate[${elementAt(gate)}];
  y[i] = g / (1.0f + exp(-g)) * up[${elementAt(up)}];`,
        ),
        flops: 5 * gate.elements,
      })
      return y
    },

    /** Where gate and up are columns of one tensor, so are their gradients. */
    backward(dyTensor, gateTensor, upTensor) {
      const gate = asColumns(gateTensor)
      const up = asColumns(upTensor)
      const joined = sideBySide([gate, up])
      const both = joined && recorder.tensor(joined.shape)
      const dGate = both?.columnRange(0, gate.width) ?? recorder.tensor(gate.shape)
      const dUp = both?.columnRange(gate.width, up.width) ?? recorder.tensor(up.shape)
      const [gateName, upName] = both ? ['both', 'both'] : ['dGate', 'dUp']
      recorder.dispatch({
        name: 'swiglu.backward',
        reads: { dy: asPlanTensor(dyTensor), gate, up },
        writes: both ? { both } : { dGate, dUp },
        ...lineKernel(
          gate.elements,
          `  let g = gate[${elementAt(gate)}];
  let sigmoid = 1.0f / (1.0f + exp(-g));
  let silu = g * sigmoid;
  ${upName}[${elementAt(dUp)}] = dy[i] * silu;
  ${gateName}[${elementAt(dGate)}] = dy[i] * up[${elementAt(up)}] * (sigmoid + silu * (1.0f - sigmoid));`,
        ),
        flops: 10 * gate.elements,
      })
      return { dGate, dUp }
    },
  }
}
