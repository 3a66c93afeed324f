/**
 * The diffusion transformer's training step and velocity as a user of tfjs would write them: plain ops, tf.variableGrads
 * and tf.train.adam. Neither clips nor decays, which favours it slightly. Inputs are the model's own batches.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { DiffusionConfig } from '../../models/diffusion/config.ts'
import { patchesOf, sequenceLength } from '../../models/diffusion/config.ts'
import { layerName } from '../../models/diffusion/modules.ts'
import type { TensorSource } from '../../models/families/placing.ts'
import type { Batch } from '../../models/training/model.ts'
import { joinHeads, PROJECTIONS, type Projection, splitHeads } from './parts.ts'

interface PlainLinear {
  readonly weight: tf.Tensor2D
  readonly a: tf.Variable<tf.Rank.R2>
  readonly b: tf.Variable<tf.Rank.R2>
}

export interface PlainPictures {
  /** One optimiser step; resolves with the loss once the device has finished. */
  step(batch: Batch): Promise<number>
  /** One pass forward, read back. */
  velocity(batch: Batch): Promise<Float32Array>
  dispose(): void
}

export function plainPictures(
  config: DiffusionConfig,
  source: TensorSource,
  initialA: (module: string) => Float32Array,
  options: { batch: number; rank: number; alpha: number; learningRate: number; beta1: number; beta2: number },
): PlainPictures {
  const { batch, rank, alpha } = options
  const { rmsNormEps: eps, headDim, captionTokens } = config
  const owned: tf.Tensor[] = []
  const variables: tf.Variable[] = []
  const load = (name: string): tf.Tensor2D => {
    const found = source(name)
    if (!found) throw new Error(`the model has no ${name}`)
    const tensor = tf.tensor2d(found.values, found.shape as [number, number])
    owned.push(tensor)
    return tensor
  }
  const weight = (name: string) => load(`${name}.weight`)
  const fixed = {
    embedding: weight('token_embed'),
    textPositions: load('text_pos'),
    patchPositions: load('patch_pos'),
    patchEmbed: weight('patch_embed'),
    timeIn: weight('time_in'),
    timeOut: weight('time_out'),
    textPool: weight('text_pool'),
    finalModulation: weight('final_modulation'),
    final: weight('final'),
  }
  const layers = Array.from({ length: config.layers }, (_, layer) => ({
    modulation: weight(`layers.${layer}.modulation`),
    linears: Object.fromEntries(
      PROJECTIONS.map((projection) => {
        const own = weight(`layers.${layer}.${projection}`)
        const [out, width] = own.shape
        const a = tf.variable(tf.tensor2d(initialA(`${layerName(layer)}.${projection}`), [rank, width]))
        const b = tf.variable(tf.zeros<tf.Rank.R2>([out, rank]))
        variables.push(a, b)
        return [projection, { weight: own, a, b } satisfies PlainLinear]
      }),
    ) as Record<Projection, PlainLinear>,
  }))

  const times = (x: tf.Tensor2D, w: tf.Tensor2D): tf.Tensor2D => tf.matMul(x, w, false, true)
  const silu = <T extends tf.Tensor>(x: T): T => tf.mul(x, tf.sigmoid(x))
  const apply = (x: tf.Tensor2D, { weight, a, b }: PlainLinear): tf.Tensor2D =>
    tf.add(times(x, weight), tf.mul(times(times(x, a as tf.Tensor2D), b as tf.Tensor2D), alpha / rank))
  const bySize = (x: tf.Tensor): tf.Tensor3D => tf.reshape(x, [batch, -1, config.hiddenSize])
  const flat = (x: tf.Tensor): tf.Tensor2D => tf.reshape(x, [-1, config.hiddenSize])
  /** norm(x) (1 + scale) + shift, [batch, rows, hidden] */
  const modulated = (x: tf.Tensor3D, shift: tf.Tensor, scale: tf.Tensor): tf.Tensor2D => {
    const normed = tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps)))
    return flat(tf.add(tf.mul(normed, tf.add(scale, 1)), shift))
  }
  const parts = (x: tf.Tensor2D, count: number) => tf.split(x, count, 1).map((part) => tf.expandDims(part, 1))

  function forward({ inputs }: Batch): tf.Tensor2D {
    const floats = (name: string, shape: [number, number]) => tf.tensor2d(inputs[name] as Float32Array, shape)
    const caption = tf.gather(fixed.embedding, tf.tensor1d(inputs.ids as Int32Array, 'int32'))
    const weights = tf.tensor3d(inputs.idWeights as Float32Array, [batch, captionTokens, 1])
    const pooled = tf.sum(tf.mul(bySize(caption), weights), 1) as tf.Tensor2D
    const time = times(silu(times(floats('time', [batch, config.timeFeatures]), fixed.timeIn)), fixed.timeOut)
    const c = silu(tf.add(time, times(pooled, fixed.textPool)) as tf.Tensor2D)
    const width = fixed.patchEmbed.shape[1]
    const patches = times(floats('x', [batch * patchesOf(config), width]), fixed.patchEmbed)
    let x: tf.Tensor3D = tf.concat(
      [
        tf.add(bySize(caption), tf.expandDims(fixed.textPositions, 0)),
        tf.add(bySize(patches), tf.expandDims(fixed.patchPositions, 0)),
      ],
      1,
    )
    for (const { modulation, linears } of layers) {
      const [shift1, scale1, gate1, shift2, scale2, gate2] = parts(times(c, modulation), 6)
      const h = modulated(x, shift1, scale1)
      const heads = (projection: Projection) => splitHeads(apply(h, linears[projection]), batch, headDim)
      const scores = tf.mul(
        tf.matMul(heads('self_attn.q_proj'), heads('self_attn.k_proj'), false, true),
        1 / Math.sqrt(headDim),
      )
      const mixed = joinHeads(tf.matMul(tf.softmax(scores), heads('self_attn.v_proj')))
      x = tf.add(x, tf.mul(gate1, bySize(apply(mixed, linears['self_attn.o_proj']))))
      const middle = modulated(x, shift2, scale2)
      const gate = apply(middle, linears['mlp.gate_proj'])
      const activated = tf.mul(silu(gate), apply(middle, linears['mlp.up_proj'])) as tf.Tensor2D
      x = tf.add(x, tf.mul(gate2, bySize(apply(activated, linears['mlp.down_proj']))))
    }
    const [shift, scale] = parts(times(c, fixed.finalModulation), 2)
    const rows = tf.slice3d(x, [0, captionTokens, 0], [batch, sequenceLength(config) - captionTokens, -1])
    return times(modulated(rows, shift, scale), fixed.final)
  }

  const optimiser = tf.train.adam(options.learningRate, options.beta1, options.beta2)
  return {
    async step(given) {
      const value = tf.tidy(() => {
        const { value, grads } = tf.variableGrads(() => {
          const velocity = forward(given)
          const wanted = tf.tensor2d(given.inputs.velocity as Float32Array, velocity.shape)
          return tf.mean(tf.square(tf.sub(velocity, wanted))) as tf.Scalar
        }, variables)
        optimiser.applyGradients(grads as Parameters<typeof optimiser.applyGradients>[0])
        return value
      })
      const [number] = await value.data()
      value.dispose()
      return number
    },
    async velocity(given) {
      const value = tf.tidy(() => forward(given))
      const numbers = await value.data<'float32'>()
      value.dispose()
      return numbers
    },
    dispose() {
      tf.dispose(owned)
      for (const variable of variables) variable.dispose()
      optimiser.dispose()
    },
  }
}
