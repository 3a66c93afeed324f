/**
 * What there is to beat: the same LoRA training step, written as a user of tfjs would, with `tf.variableGrads`
 * and `tf.train.adam` over plain ops. No clipping and no decoupled decay, which favours it slightly.
 */
import { createRequire } from 'node:module'
import * as tf from '@tensorflow/tfjs-core'
import type { TensorSource } from '../models/families/placing.ts'
import type { LlamaConfig } from '../models/llama/config.ts'
import { rotaryTable } from '../models/llama/weights.ts'

// The core alone knows no gradients (ours are written by hand). Required, not imported: tfjs's own file imports
// folders, which Node's modules do not.
createRequire(import.meta.url)('@tensorflow/tfjs-core/dist/register_all_gradients.js')

interface PlainLinear {
  readonly weight: tf.Tensor2D
  readonly a: tf.Variable<tf.Rank.R2>
  readonly b: tf.Variable<tf.Rank.R2>
}

export interface PlainModel {
  /** One step; resolves with the loss once the device has finished. */
  step(ids: Int32Array, targets: Int32Array): Promise<number>
  dispose(): void
}

const PROJECTIONS = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
] as const

export function plainModel(
  config: LlamaConfig,
  source: TensorSource,
  initialA: (module: string) => Float32Array,
  options: { batch: number; tokens: number; rank: number; alpha: number; learningRate: number },
): PlainModel {
  const { batch, tokens, rank, alpha } = options
  const { heads, kvHeads, headDim } = config
  const scale = alpha / rank
  const owned: tf.Tensor[] = []
  const weight = <R extends tf.Rank>(name: string): tf.Tensor<R> => {
    const found = source(name)!
    const tensor = tf.tensor<tf.Rank>(found.values, [...found.shape]) as tf.Tensor<R>
    owned.push(tensor)
    return tensor
  }
  const variables: tf.Variable[] = []
  const layers = Array.from({ length: config.layers }, (_, index) => {
    const at = `model.layers.${index}`
    const linears = Object.fromEntries(
      PROJECTIONS.map((projection) => {
        const frozen = weight<tf.Rank.R2>(`${at}.${projection}.weight`)
        const [out, width] = frozen.shape
        const a = tf.variable(tf.tensor2d(initialA(`base_model.model.${at}.${projection}`), [rank, width]))
        const b = tf.variable(tf.zeros<tf.Rank.R2>([out, rank]))
        variables.push(a, b)
        return [projection, { weight: frozen, a, b } as PlainLinear]
      }),
    ) as Record<(typeof PROJECTIONS)[number], PlainLinear>
    return {
      linears,
      inputNorm: weight<tf.Rank.R1>(`${at}.input_layernorm.weight`),
      postNorm: weight<tf.Rank.R1>(`${at}.post_attention_layernorm.weight`),
    }
  })
  const embedding = weight<tf.Rank.R2>('model.embed_tokens.weight')
  const finalNorm = weight<tf.Rank.R1>('model.norm.weight')
  const half = headDim / 2
  const table = rotaryTable(config)
  const part = (offset: number) => {
    const values = new Float32Array(tokens * half)
    for (let t = 0; t < tokens; t++) {
      values.set(table.subarray(t * headDim + offset, t * headDim + offset + half), t * half)
    }
    const tensor = tf.tensor4d(values, [1, 1, tokens, half])
    owned.push(tensor)
    return tensor
  }
  const cos = part(0)
  const sin = part(half)
  const mask = tf.tidy(() => {
    const values = new Float32Array(tokens * tokens)
    for (let t = 0; t < tokens; t++) values.fill(-1e9, t * tokens + t + 1, (t + 1) * tokens)
    return tf.tensor4d(values, [1, 1, tokens, tokens])
  })
  owned.push(mask)

  const norm = (x: tf.Tensor2D, gain: tf.Tensor1D): tf.Tensor2D =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), config.rmsNormEps))), gain)
  const apply = (x: tf.Tensor2D, { weight, a, b }: PlainLinear): tf.Tensor2D => {
    const low = tf.matMul(tf.matMul(x, a as tf.Tensor2D, false, true), b as tf.Tensor2D, false, true)
    return tf.add(tf.matMul(x, weight, false, true), tf.mul(low, scale))
  }
  /** [rows, n * headDim] -> [batch, n, tokens, headDim] */
  const split = (x: tf.Tensor2D, n: number) =>
    tf.transpose(tf.reshape(x, [batch, tokens, n, headDim]), [0, 2, 1, 3])
  const rotate = (x: tf.Tensor) => {
    const [a, b] = tf.split(x, 2, 3)
    return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], 3)
  }
  /** Each key/value head once for every query head that uses it. */
  const repeat = (x: tf.Tensor) =>
    tf.concat(
      tf.split(x, kvHeads, 1).flatMap((head) => Array.from({ length: heads / kvHeads }, () => head)),
      1,
    )

  const loss = (ids: tf.Tensor1D, hot: tf.Tensor2D): tf.Scalar => {
    let x: tf.Tensor2D = tf.gather(embedding, ids)
    for (const { linears, inputNorm, postNorm } of layers) {
      const normed = norm(x, inputNorm)
      const q = rotate(split(apply(normed, linears['self_attn.q_proj']), heads))
      const k = repeat(rotate(split(apply(normed, linears['self_attn.k_proj']), kvHeads)))
      const v = repeat(split(apply(normed, linears['self_attn.v_proj']), kvHeads))
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headDim)), mask)
      const mixed = tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3])
      const flat: tf.Tensor2D = tf.reshape(mixed, [batch * tokens, heads * headDim])
      x = tf.add(x, apply(flat, linears['self_attn.o_proj']))
      const middle = norm(x, postNorm)
      const gate = apply(middle, linears['mlp.gate_proj'])
      const up = apply(middle, linears['mlp.up_proj'])
      const activated: tf.Tensor2D = tf.mul(tf.mul(gate, tf.sigmoid(gate)), up)
      x = tf.add(x, apply(activated, linears['mlp.down_proj']))
    }
    const logits = tf.matMul(norm(x, finalNorm), embedding, false, true)
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), hot), -1)))
  }

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
      for (const tensor of owned) tensor.dispose()
      for (const variable of variables) variable.dispose()
      optimiser.dispose()
    },
  }
}
