/** SiLU, x s(x) with s the logistic function, in tfjs. Elfwing et al. 2017, https://arxiv.org/abs/1702.03118 */
import * as tf from '@tensorflow/tfjs-core'
import { native, tidy, wrap } from '../eager-context.ts'
import type { Ops } from '../ops.ts'

export const eagerSilu: Ops['silu'] = (x) => tidy(() => wrap(tf.mul(native(x), tf.sigmoid(native(x)))))
