/** The ops of a recording: each op's `plan.ts`, over one recorder. */
import { planAccumulate, planAdamw } from '../ops/adamw/plan.ts'
import { planAdd } from '../ops/add/plan.ts'
import { planAttention } from '../ops/attention/plan.ts'
import { planDense } from '../ops/dense/plan.ts'
import { planEmbedding } from '../ops/embedding/plan.ts'
import { planGatedAdd } from '../ops/gated-add/plan.ts'
import { planLastRowLogits } from '../ops/last-row-logits/plan.ts'
import { planLinear } from '../ops/linear/plan.ts'
import { planLinearCrossEntropy } from '../ops/linear-cross-entropy/plan.ts'
import { planModulatedNorm } from '../ops/modulated-norm/plan.ts'
import type { Ops } from '../ops/ops.ts'
import { planRmsNorm } from '../ops/rms-norm/plan.ts'
import { planRotary } from '../ops/rotary/plan.ts'
import { planSilu } from '../ops/silu/plan.ts'
import { planSquaredError } from '../ops/squared-error/plan.ts'
import { planSwiGlu } from '../ops/swiglu/plan.ts'
import { planColumns, planJoinRows, planLastRows, planWeightedRows } from '../ops/token-rows/plan.ts'
import type { Recorder } from './recorder.ts'

export function planOps(recorder: Recorder): Ops {
  const linear = planLinear(recorder)
  return {
    embedding: planEmbedding(recorder),
    linear,
    rmsNorm: planRmsNorm(recorder),
    rotary: planRotary(recorder),
    attention: planAttention(recorder),
    swiglu: planSwiGlu(recorder, linear),
    linearCrossEntropy: planLinearCrossEntropy(recorder),
    dense: planDense(recorder),
    modulatedNorm: planModulatedNorm(recorder),
    gatedAdd: planGatedAdd(recorder),
    lastRows: planLastRows(recorder),
    squaredError: planSquaredError(recorder),
    silu: planSilu(recorder),
    weightedRows: planWeightedRows(recorder),
    joinRows: planJoinRows(recorder),
    columns: planColumns(recorder),
    add: planAdd(recorder),
    lastRowLogits: planLastRowLogits(recorder),
    adamw: planAdamw(recorder),
    accumulate: planAccumulate(recorder),
    // Lifetimes come from the recording: a scope only names what happens in it.
    scope: (name, body) => recorder.scope(name, body),
  }
}
