/**
 * Greedy generation with a key/value cache as a user of tfjs would write it: the prompt in one pass, then one token at a
 * time, the cache grown by `tf.concat`.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { TensorSource } from '../../models/families/placing.ts'
import type { LlamaConfig } from '../../models/llama/config.ts'
import { rotaryTable } from '../../models/llama/weights.ts'
import {
  causalMask,
  joinHeads,
  norm,
  type Projection,
  plainWeights,
  repeatHeads,
  rotaryParts,
  rotate,
  splitHeads,
} from './parts.ts'

interface Cache {
  keys: tf.Tensor
  values: tf.Tensor
}

export interface PlainGeneration {
  /** Token ids one after another, the first when the prompt is through. */
  tokens(prompt: readonly number[], count: number): AsyncGenerator<number>
  dispose(): void
}

export function plainGeneration(config: LlamaConfig, source: TensorSource): PlainGeneration {
  const weights = plainWeights(config, source)
  const { headDim, rmsNormEps: eps } = config
  const table = rotaryTable(config)

  /** Likeliest token after `ids`, which come at position `past`; the caches afterwards hold them too. */
  const next = (ids: readonly number[], past: number, caches: Cache[]): tf.Tensor1D =>
    tf.tidy(() => {
      const { cos, sin } = rotaryParts(config, past, ids.length, table)
      const mask = ids.length > 1 ? causalMask(ids.length) : null
      let x: tf.Tensor2D = tf.gather(weights.embedding, tf.tensor1d([...ids], 'int32'))
      for (const [index, { linears, inputNorm, postNorm }] of weights.layers.entries()) {
        const apply = (x: tf.Tensor2D, projection: Projection): tf.Tensor2D =>
          tf.matMul(x, linears[projection], false, true)
        const normed = norm(x, inputNorm, eps)
        const heads4 = (projection: Projection) => splitHeads(apply(normed, projection), 1, headDim)
        const q = rotate(heads4('self_attn.q_proj'), cos, sin)
        let keys = rotate(heads4('self_attn.k_proj'), cos, sin)
        let values: tf.Tensor = heads4('self_attn.v_proj')
        const cache = caches[index]
        if (cache) {
          keys = tf.concat([cache.keys, keys], 2)
          values = tf.concat([cache.values, values], 2)
          tf.dispose([cache.keys, cache.values])
        }
        caches[index] = { keys: tf.keep(keys), values: tf.keep(values) }
        const scaled = tf.mul(tf.matMul(q, repeatHeads(keys, config), false, true), 1 / Math.sqrt(headDim))
        const probabilities = tf.softmax(mask ? tf.add(scaled, mask) : scaled)
        const mixed = joinHeads(tf.matMul(probabilities, repeatHeads(values, config)))
        x = tf.add(x, apply(mixed, 'self_attn.o_proj'))
        const middle = norm(x, postNorm, eps)
        const gate = apply(middle, 'mlp.gate_proj')
        const activated = tf.mul<tf.Tensor2D>(tf.mul(gate, tf.sigmoid(gate)), apply(middle, 'mlp.up_proj'))
        x = tf.add(x, apply(activated, 'mlp.down_proj'))
      }
      const last = tf.slice(norm(x, weights.finalNorm, eps), [ids.length - 1, 0], [1, -1])
      return tf.argMax<tf.Tensor1D>(tf.matMul(last, weights.head, false, true), 1)
    })

  return {
    async *tokens(prompt, count) {
      const caches: Cache[] = []
      try {
        let ids = prompt
        let past = 0
        for (let made = 0; made < count; made++) {
          const chosen = next(ids, past, caches)
          const [id] = await chosen.data()
          chosen.dispose()
          yield id
          past += ids.length
          ids = [id]
        }
      } finally {
        for (const { keys, values } of caches) tf.dispose([keys, values])
      }
    },
    dispose: () => weights.dispose(),
  }
}
