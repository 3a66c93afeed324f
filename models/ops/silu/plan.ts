/** SiLU recorded. Where exp(-x) overflows the quotient is 0, as it should be. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { Ops } from '../ops.ts'

export function planSilu(recorder: Recorder): Ops['silu'] {
  return (xTensor) => {
    const x = asPlanTensor(xTensor)
    const y = recorder.tensor(x.shape)
    recorder.dispatch({
      name: 'silu',
      reads: { x },
      writes: { y },
      ...lineKernel(x.elements, '  y[i] = x[i] / (1.0f + exp(-x[i]));'),
      flops: 4 * x.elements,
    })
    return y
  }
}
