/** Logits after the last row alone, recorded: the row is copied out, then one matrix-vector product. */
import { asMatrix } from '../../plan/packed-tensor.ts'
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import { matmul } from '../linear/matmul.wgsl.ts'
import type { Ops } from '../ops.ts'

export function planLastRowLogits(recorder: Recorder): Ops['lastRowLogits'] {
  return (xTensor, weightTensor) => {
    const x = asPlanTensor(xTensor)
    const weight = asMatrix(weightTensor)
    const [vocabulary, width] = weight.shape
    let row = x
    if (x.rows > 1) {
      row = recorder.tensor([1, width])
      recorder.dispatch({
        name: 'lastRow',
        reads: { x },
        writes: { y: row },
        ...lineKernel(width, `  y[i] = x[${(x.rows - 1) * width}u + i];`),
        flops: 0,
      })
    }
    const logits = recorder.tensor([1, vocabulary])
    matmul(recorder, {
      name: 'lastRowLogits',
      m: 1,
      n: vocabulary,
      k: width,
      a: row,
      aLayout: 'mk',
      b: weight,
      bLayout: 'nk',
      y: logits,
    })
    return logits
  }
}
