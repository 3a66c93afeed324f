/** SwiGLU recorded: elementwise, one dispatch each way. Shazeer 2020, https://arxiv.org/abs/2002.05202 */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { SwiGluOp } from '../ops.ts'

export function planSwiGlu(recorder: Recorder): SwiGluOp {
  return {
    forward(gateTensor, upTensor) {
      const gate = asPlanTensor(gateTensor)
      const y = recorder.tensor(gate.shape)
      recorder.dispatch({
        name: 'swiglu.forward',
        reads: { gate, up: asPlanTensor(upTensor) },
        writes: { y },
        ...lineKernel(
          gate.elements,
          `  let g = gate[i];
  y[i] = g / (1.0f + exp(-g)) * up[i];`,
        ),
        flops: 5 * gate.elements,
      })
      return y
    },
    backward(dyTensor, gateTensor, upTensor) {
      const gate = asPlanTensor(gateTensor)
      const dGate = recorder.tensor(gate.shape)
      const dUp = recorder.tensor(gate.shape)
      recorder.dispatch({
        name: 'swiglu.backward',
        reads: { dy: asPlanTensor(dyTensor), gate, up: asPlanTensor(upTensor) },
        writes: { dGate, dUp },
        ...lineKernel(
          gate.elements,
          `  let g = gate[i];
  let sigmoid = 1.0f / (1.0f + exp(-g));
  let silu = g * sigmoid;
  dUp[i] = dy[i] * silu;
  dGate[i] = dy[i] * up[i] * (sigmoid + silu * (1.0f - sigmoid));`,
        ),
        flops: 10 * gate.elements,
      })
      return { dGate, dUp }
    },
  }
}
