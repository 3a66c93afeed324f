/** Rows of a frozen table by id, recorded. An id outside the table reads its last row, never other memory. */
import { asMatrix, PackedTensor } from '../../plan/packed-tensor.ts'
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import type { Ops } from '../ops.ts'

export function planEmbedding(recorder: Recorder): Ops['embedding'] {
  return (idsTensor, tableTensor) => {
    const ids = asPlanTensor(idsTensor)
    const table = asMatrix(tableTensor)
    const [vocabulary, width] = table.shape
    const y = recorder.tensor([ids.rows, width])
    const packed = table instanceof PackedTensor
    // A packed row is unpacked four weights at a time, a plain one copied number by number, whatever its width.
    const steps = packed ? width / 4 : width
    const kernel = lineKernel(
      ids.rows * steps,
      `  let id = min(u32(ids[i / ${steps}u]), ${vocabulary - 1}u);
  let at = id * ${steps}u + i % ${steps}u;
  y[i] = ${packed ? 'tableQuad(at)' : 'table[at]'};`,
    )
    recorder.dispatch({
      name: 'embedding',
      reads: { ids, ...(packed ? table.reads('table') : { table }) },
      writes: { y: { tensor: y, vector: packed ? 4 : 1 } },
      workgroups: kernel.workgroups,
      body: packed ? table.unpack('table') + kernel.body : kernel.body,
      flops: 0,
    })
    return y
  }
}
