/**
 * The same LoRA training step as a user of tfjs would write it, with `tf.variableGrads` and `tf.train.adam` over plain
 * ops. No clipping and no decoupled decay, which favours it slightly.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { TensorSource } from '../../models/families/placing.ts'
import type { LlamaConfig } from '../../models/llama/config.ts'
import {
  causalMask,
  joinHeads,
  norm,
  PROJECTIONS,
  type Projection,
  plainWeights,
  repeatHeads,
  rotaryParts,
  rotate,
  splitHeads,
} from './parts.ts'

interface PlainLinear {
  readonly weight: tf.Tensor2D
  readonly a: tf.Variable<tf.Rank.R2>
  readonly b: tf.Variable<tf.Rank.R2>
}

export interface PlainTraining {
  /** One step; resolves with the loss once the device has finished. */
  step(ids: Int32Array, targets: Int32Array): Promise<number>
  dispose(): void
}

export function plainTraining(
  config: LlamaConfig,
  source: TensorSource,
  initialA: (module: string) => Float32Array,
  options: { batch: number; tokens: number; rank: number; alpha: number; learningRate: number },
): PlainTraining {
  const { batch, tokens, rank, alpha } = options
  const { heads, headDim, rmsNormEps: eps } = config
  const scale = alpha / rank
  const weights = plainWeights(config, source)
  const variables: tf.Variable[] = []
  const layers = weights.layers.map(({ linears, ...norms }, index) => ({
    ...norms,
    linears: Object.fromEntries(
      PROJECTIONS.map((projection) => {
        const weight = linears[projection]
        const [out, width] = weight.shape
        const module = `base_model.model.model.layers.${index}.${projection}`
        const a = tf.variable(tf.tensor2d(initialA(module), [rank, width]))
        const b = tf.variable(tf.zeros<tf.Rank.R2>([out, rank]))
        variables.push(a, b)
        return [projection, { weight, a, b } satisfies PlainLinear]
      }),
    ) as Record<Projection, PlainLinear>,
  }))
  const { cos, sin } = rotaryParts(config, 0, tokens)
  const mask = causalMask(tokens)

  const apply = (x: tf.Tensor2D, { weight, a, b }: PlainLinear): tf.Tensor2D => {
    const low = tf.matMul(tf.matMul(x, a as tf.Tensor2D, false, true), b as tf.Tensor2D, false, true)
    return tf.add(tf.matMul(x, weight, false, true), tf.mul(low, scale))
  }

  const loss = (ids: tf.Tensor1D, hot: tf.Tensor2D): tf.Scalar => {
    let x: tf.Tensor2D = tf.gather(weights.embedding, ids)
    for (const { linears, inputNorm, postNorm } of layers) {
      const normed = norm(x, inputNorm, eps)
      const heads4 = (projection: Projection) =>
        splitHeads(apply(normed, linears[projection]), batch, headDim)
      const q = rotate(heads4('self_attn.q_proj'), cos, sin)
      const k = repeatHeads(rotate(heads4('self_attn.k_proj'), cos, sin), config)
      const v = repeatHeads(heads4('self_attn.v_proj'), config)
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headDim)), mask)
      const mixed = joinHeads(tf.matMul(tf.softmax(scores), v)) // [batch * tokens, heads * headDim]
      x = tf.add(x, apply(mixed, linears['self_attn.o_proj']))
      const middle = norm(x, postNorm, eps)
      const gate = apply(middle, linears['mlp.gate_proj'])
      const activated: tf.Tensor2D = tf.mul(
        tf.mul(gate, tf.sigmoid(gate)),
        apply(middle, linears['mlp.up_proj']),
      )
      x = tf.add(x, apply(activated, linears['mlp.down_proj']))
    }
    const logits = tf.matMul(norm(x, weights.finalNorm, eps), weights.head, false, true)
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), hot), -1)))
  }
  if (heads % config.kvHeads !== 0) throw new RangeError(`${heads} heads share ${config.kvHeads}`)

  const optimiser = tf.train.adam(options.learningRate)
  return {
    async step(ids, targets) {
      const value = tf.tidy(() => {
        const hot = tf.cast(
          tf.oneHot(tf.tensor1d(targets, 'int32'), config.vocabularySize),
          'float32',
        ) as tf.Tensor2D
        const { value, grads } = tf.variableGrads(() => loss(tf.tensor1d(ids, 'int32'), hot), variables)
        optimiser.applyGradients(grads as Parameters<typeof optimiser.applyGradients>[0])
        return value
      })
      const [number] = await value.data()
      value.dispose()
      return number
    },
    dispose() {
      weights.dispose()
      tf.dispose([cos, sin, mask])
      for (const variable of variables) variable.dispose()
      optimiser.dispose()
    },
  }
}
