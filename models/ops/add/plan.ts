/** a + b, recorded. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { Ops } from '../ops.ts'

export function planAdd(recorder: Recorder): Ops['add'] {
  return (aTensor, bTensor) => {
    const a = asPlanTensor(aTensor)
    const y = recorder.tensor(a.shape)
    recorder.dispatch({
      name: 'add',
      reads: { a, b: asPlanTensor(bTensor) },
      writes: { y },
      ...lineKernel(a.elements, '  y[i] = a[i] + b[i];'),
      flops: a.elements,
    })
    return y
  }
}
