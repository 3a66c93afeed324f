/**
 * SwiGLU recorded: elementwise, one dispatch each way, or part of the products beside it where gate and up are one stack.
 * Shazeer 2020, https://arxiv.org/abs/2002.05202
 */
import { asColumns, asPlanTensor, elementAt, sideBySide } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { PlanLinear } from '../linear/plan.ts'
import { isGated, layerStack, stackGated } from '../linear/stack.ts'
import type { GateAndUp, SwiGluOp, Tensor } from '../ops.ts'

export function planSwiGlu(recorder: Recorder, linear: PlanLinear): SwiGluOp {
  const stackOfBoth = (layers: GateAndUp) => {
    const stack = layerStack(layers)
    return stack && isGated(stack) ? stack : null
  }
  const op: SwiGluOp = {
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

    ofLayers(x: Tensor, layers: GateAndUp) {
      const stack = stackOfBoth(layers)
      return stack
        ? stackGated(recorder, asPlanTensor(x), stack, false).activated
        : op.ofLayersKept(x, layers).activated
    },

    ofLayersKept(x: Tensor, layers: GateAndUp) {
      const stack = stackOfBoth(layers)
      if (stack) {
        const { activated, kept } = stackGated(recorder, asPlanTensor(x), stack, true)
        return { activated, gate: kept[0], up: kept[1] }
      }
      const [gate, up] = linear.forwardEach(x, layers)
      return { gate, up, activated: op.forward(gate, up) }
    },

    backwardThrough(dy, activated, down, gate, up) {
      const both = sideBySide([asColumns(gate), asColumns(up)])
      if (!both) return op.backward(linear.backward(dy, activated, down), gate, up)
      const gradients = linear.backwardUngated(dy, activated, down, both)
      const { width } = asColumns(gate)
      return { dGate: gradients.columnRange(0, width), dUp: gradients.columnRange(width, width) }
    },
  }
  return op
}
