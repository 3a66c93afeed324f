/**
 * A Llama's parts in plain tfjs ops, as a user of the library would write them: what there is to beat. Nothing is fused
 * by hand, nothing of this project's engine is used.
 */
import { createRequire } from 'node:module'
import * as tf from '@tensorflow/tfjs-core'
import type { TensorSource } from '../../models/families/placing.ts'
import type { LlamaConfig } from '../../models/llama/config.ts'
import { rotaryTable } from '../../models/llama/weights.ts'

// The core alone knows no gradients (ours are written by hand). Required, not imported: tfjs's own file imports
// folders, which Node's modules do not.
createRequire(import.meta.url)('@tensorflow/tfjs-core/dist/register_all_gradients.js')

export const PROJECTIONS = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
] as const

export type Projection = (typeof PROJECTIONS)[number]

export interface PlainLayer {
  readonly linears: Readonly<Record<Projection, tf.Tensor2D>>
  readonly inputNorm: tf.Tensor1D
  readonly postNorm: tf.Tensor1D
}

export interface PlainWeights {
  readonly embedding: tf.Tensor2D
  readonly layers: readonly PlainLayer[]
  readonly finalNorm: tf.Tensor1D
  readonly head: tf.Tensor2D
  dispose(): void
}

/** Uploads every weight in float32, which is all that tfjs has. */
export function plainWeights(config: LlamaConfig, source: TensorSource): PlainWeights {
  const owned: tf.Tensor[] = []
  const weight = <R extends tf.Rank>(name: string): tf.Tensor<R> => {
    const found = source(name)
    if (!found) throw new Error(`the model has no ${name}`)
    const tensor = tf.tensor<tf.Rank>(found.values, [...found.shape]) as tf.Tensor<R>
    owned.push(tensor)
    return tensor
  }
  const embedding = weight<tf.Rank.R2>('model.embed_tokens.weight')
  return {
    embedding,
    layers: Array.from({ length: config.layers }, (_, index) => {
      const at = `model.layers.${index}`
      return {
        linears: Object.fromEntries(
          PROJECTIONS.map((projection) => [projection, weight<tf.Rank.R2>(`${at}.${projection}.weight`)]),
        ) as Record<Projection, tf.Tensor2D>,
        inputNorm: weight<tf.Rank.R1>(`${at}.input_layernorm.weight`),
        postNorm: weight<tf.Rank.R1>(`${at}.post_attention_layernorm.weight`),
      }
    }),
    finalNorm: weight<tf.Rank.R1>('model.norm.weight'),
    head: config.tiedEmbeddings ? embedding : weight<tf.Rank.R2>('lm_head.weight'),
    dispose: () => tf.dispose(owned),
  }
}

export const norm = (x: tf.Tensor2D, gain: tf.Tensor1D, eps: number): tf.Tensor2D =>
  tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps))), gain)

/** [batch * tokens, heads * headDim] -> [batch, heads, tokens, headDim] */
export const splitHeads = (x: tf.Tensor2D, batch: number, headDim: number): tf.Tensor4D =>
  tf.transpose(tf.reshape(x, [batch, x.shape[0] / batch, x.shape[1] / headDim, headDim]), [0, 2, 1, 3])

/** [batch, heads, tokens, headDim] -> [batch * tokens, heads * headDim] */
export function joinHeads(x: tf.Tensor): tf.Tensor2D {
  const [batch, heads, tokens, headDim] = x.shape
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch * tokens, heads * headDim])
}

/** Rotary: cos and sin [1, 1, tokens, headDim / 2]. */
export function rotate(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  const [a, b] = tf.split(x, 2, 3)
  return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], 3)
}

/** Each key/value head once for every query head that uses it. */
export const repeatHeads = (x: tf.Tensor, { heads, kvHeads }: LlamaConfig): tf.Tensor =>
  tf.concat(
    tf.split(x, kvHeads, 1).flatMap((head) => Array.from({ length: heads / kvHeads }, () => head)),
    1,
  )

/** Cosines and sines of positions `first` and on, [1, 1, tokens, headDim / 2] each; the caller owns them. */
export function rotaryParts(
  config: Parameters<typeof rotaryTable>[0],
  first: number,
  tokens: number,
  table = rotaryTable(config),
) {
  const { headDim } = config
  const half = headDim / 2
  const part = (offset: number) => {
    const values = new Float32Array(tokens * half)
    for (let t = 0; t < tokens; t++) {
      const at = (first + t) * headDim + offset
      values.set(table.subarray(at, at + half), t * half)
    }
    return tf.tensor4d(values, [1, 1, tokens, half])
  }
  return { cos: part(0), sin: part(half) }
}

/** [1, 1, tokens, tokens], to be added to the scores. */
export function causalMask(tokens: number): tf.Tensor4D {
  const values = new Float32Array(tokens * tokens)
  for (let t = 0; t < tokens; t++) values.fill(-1e9, t * tokens + t + 1, (t + 1) * tokens)
  return tf.tensor4d(values, [1, 1, tokens, tokens])
}
