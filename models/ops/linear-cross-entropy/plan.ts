/**
 * Output projection and cross-entropy in one op, recorded over bands of rows, so that the logits in memory stay
 * under `MAX_LOGIT_BYTES` however long the batch. The softmax kernel turns a band's logits into their gradient
 * in place.
 *
 * Sums over the vocabulary are taken in blocks: one running float32 sum over 49,152 terms would be off by 1e-4.
 */
import { asMatrix } from '../../plan/packed-tensor.ts'
import { asPlanTensor, BINDING_ALIGNMENT, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import { rowKernel } from '../../plan/rows.ts'
import { matmul } from '../linear/matmul.wgsl.ts'
import type { LinearCrossEntropyOp, Tensor } from '../ops.ts'

/** A third of a 96 MB budget; at vocabulary 2,048 a whole 8 x 512 batch, at 49,152 rows 170 at a time. */
const MAX_LOGIT_BYTES = 32 * 1024 * 1024
const BLOCK = 256

/** @param eachBand given the gradient of a band's logits and the band's rows of x, first band first */
export function planLinearCrossEntropy(
  recorder: Recorder,
  eachBand: (dLogits: PlanTensor, x: PlanTensor) => void = () => {},
): LinearCrossEntropyOp {
  const run = (
    xTensor: Tensor,
    weightTensor: Tensor,
    targetsTensor: Tensor,
    rowWeightsTensor: Tensor,
    wantGradient: boolean,
  ): { nll: PlanTensor; dx: PlanTensor | null } => {
    const x = asPlanTensor(xTensor)
    const weight = asMatrix(weightTensor)
    const targets = asPlanTensor(targetsTensor)
    const rowWeights = asPlanTensor(rowWeightsTensor)
    const [vocabulary, width] = weight.shape
    const nll = recorder.tensor([x.rows])
    const dx = wantGradient ? recorder.tensor([x.rows, width]) : null
    // Bands start at multiples of 64 rows, so that a view of four-byte entries is aligned.
    const granule = BINDING_ALIGNMENT / 4
    const bandRows = Math.max(granule, Math.floor(MAX_LOGIT_BYTES / (vocabulary * 4 * granule)) * granule)
    for (let first = 0; first < x.rows; first += bandRows) {
      const rows = Math.min(bandRows, x.rows - first)
      const logits = recorder.tensor([rows, vocabulary])
      matmul(recorder, {
        name: 'head.forward',
        m: rows,
        n: vocabulary,
        k: width,
        a: x.rowRange(first, rows),
        aLayout: 'mk',
        b: weight,
        bLayout: 'nk',
        y: logits,
      })
      const kernel = rowKernel(
        recorder,
        rows,
        `  let start = row * ${vocabulary}u;
  let rowWeight = rowWeights[row];
  var top = -3.0e38f;
  for (var c = lane; c < ${vocabulary}u; c += LANES) { top = max(top, logits[start + c]); }
  top = reduceMax(top);
  var total = 0.0f;
  for (var block = 0u; block < ${vocabulary}u; block += ${BLOCK}u) {
    var blockTotal = 0.0f;
    let end = min(block + ${BLOCK}u, ${vocabulary}u);
    for (var c = block + lane; c < end; c += LANES) { blockTotal += exp(logits[start + c] - top); }
    total += blockTotal;
  }
  total = reduceSum(total);
  let goal = min(u32(targets[row]), ${vocabulary - 1}u);
  let goalLogit = logits[start + goal];
  if (lane == 0u) { nll[row] = select(0.0f, log(total) + top - goalLogit, rowWeight != 0.0f); }
${
  wantGradient
    ? `  rowBarrier();
  let share = rowWeight / total;
  for (var c = lane; c < ${vocabulary}u; c += LANES) {
    logits[start + c] = exp(logits[start + c] - top) * share - select(0.0f, rowWeight, c == goal);
  }`
    : ''
}`,
      )
      recorder.dispatch({
        name: 'crossEntropy',
        reads: { targets: targets.rowRange(first, rows), rowWeights: rowWeights.rowRange(first, rows) },
        updates: { logits },
        writes: { nll: nll.rowRange(first, rows) },
        ...kernel,
        flops: 8 * rows * vocabulary,
      })
      if (dx) {
        matmul(recorder, {
          name: 'head.backward',
          m: rows,
          n: width,
          k: vocabulary,
          a: logits,
          aLayout: 'mk',
          b: weight,
          bLayout: 'kn',
          y: dx.rowRange(first, rows),
        })
        eachBand(logits, x.rowRange(first, rows))
      }
    }
    return { nll, dx }
  }

  return {
    forward: (x, weight, targets, rowWeights) => run(x, weight, targets, rowWeights, false).nll,
    forwardBackward: (x, weight, targets, rowWeights) => {
      const { nll, dx } = run(x, weight, targets, rowWeights, true)
      return { nll, dx: dx! }
    },
  }
}
