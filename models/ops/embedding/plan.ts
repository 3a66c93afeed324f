/** Rows of a frozen table by id, recorded. An id outside the table reads its last row, never other memory. */
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { Ops } from '../ops.ts'

export function planEmbedding(recorder: Recorder): Ops['embedding'] {
  return (idsTensor, tableTensor) => {
    const ids = asPlanTensor(idsTensor)
    const table = asPlanTensor(tableTensor)
    const [vocabulary, width] = table.shape
    const y = recorder.tensor([ids.rows, width])
    recorder.dispatch({
      name: 'embedding',
      reads: { ids, table },
      writes: { y },
      ...lineKernel(
        y.elements,
        `  let id = min(u32(ids[i / ${width}u]), ${vocabulary - 1}u);
  y[i] = table[id * ${width}u + i % ${width}u];`,
      ),
      flops: 0,
    })
    return y
  }
}
