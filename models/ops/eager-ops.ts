/** The eager executor: every op runs as tfjs ops at once, on whichever tfjs backend is current. */
import * as tf from '@tensorflow/tfjs-core'
import { eagerAccumulate, eagerAdamW } from './adamw/eager.ts'
import { EagerAttention } from './attention/eager.ts'
import { EagerDense } from './dense/eager.ts'
import { type EagerContext, native, tidy, wrap } from './eager-context.ts'
import { eagerEmbedding } from './embedding/eager.ts'
import { eagerGatedAdd } from './gated-add/eager.ts'
import { eagerLastRowLogits } from './last-row-logits/eager.ts'
import { EagerLinear } from './linear/eager.ts'
import { EagerLinearCrossEntropy } from './linear-cross-entropy/eager.ts'
import { eagerModulatedNorm } from './modulated-norm/eager.ts'
import type { Ops } from './ops.ts'
import { eagerRmsNorm } from './rms-norm/eager.ts'
import { EagerRotary } from './rotary/eager.ts'
import { eagerSilu } from './silu/eager.ts'
import { eagerSquaredError } from './squared-error/eager.ts'
import { EagerSwiGlu } from './swiglu/eager.ts'
import { eagerColumns, eagerJoinRows, eagerLastRows, eagerWeightedRows } from './token-rows/eager.ts'

export function eagerOps(context: EagerContext): Ops {
  const linear = new EagerLinear(context)
  return {
    embedding: eagerEmbedding(context),
    linear,
    rmsNorm: eagerRmsNorm,
    rotary: new EagerRotary(context),
    attention: new EagerAttention(context),
    swiglu: new EagerSwiGlu(linear),
    linearCrossEntropy: new EagerLinearCrossEntropy(context),
    dense: new EagerDense(context),
    modulatedNorm: eagerModulatedNorm,
    gatedAdd: eagerGatedAdd,
    lastRows: eagerLastRows,
    squaredError: eagerSquaredError,
    silu: eagerSilu,
    weightedRows: eagerWeightedRows,
    joinRows: eagerJoinRows,
    columns: eagerColumns,
    add: (a, b) => wrap(tf.add(native(a), native(b))),
    lastRowLogits: eagerLastRowLogits(context),
    adamw: eagerAdamW,
    accumulate: eagerAccumulate,
    // Every Tensor of this executor is a tfjs tensor, so tidy finds those that `body` returns.
    scope: (name, body) => tidy(body, name),
  }
}
