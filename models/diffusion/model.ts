/**
 * A text-to-image diffusion transformer over `Ops`: forward, and the backward written by hand, block by block. What a
 * block's backward needs is kept from the forward pass where a step of all blocks holds it in MAX_KEPT_BYTES; beyond that
 * each block is computed again on the way back, which takes a third more products. Caption and patches are one sequence in which
 * every row attends to every other; norms and residuals are modulated by numbers of the picture that come from time
 * and caption. Peebles & Xie 2022, https://arxiv.org/abs/2212.09748
 *
 * Shapes: B pictures of S = caption tokens + patches rows, D = hidden.
 */
import type { AdapterModule } from '../adapters/adapter.ts'
import type { Engine, InputSpec } from '../backend/engine.ts'
import { PlacedModel } from '../families/placed-model.ts'
import type { StoredSource } from '../families/placing.ts'
import type { Linear, Ops, PerPicture, Tensor } from '../ops/ops.ts'
import { loraPath } from '../training/engine-adapter.ts'
import type { Batch, BatchShape, EngineAdapter, Model } from '../training/model.ts'
import type { PictureExample } from '../training/pictures.ts'
import { type DiffusionConfig, patchesOf, patchWidth, sequenceLength } from './config.ts'
import { measuredPasses, mixed, Patches, toUnit, trainingPasses, writeTimeFeatures } from './flow.ts'
import { diffusionModules, layerName } from './modules.ts'
import { type DiffusionWeights, placingDiffusion } from './weights.ts'

type Inputs = Readonly<Record<string, Tensor>>

/** Parts of a block's modulation, in the order of its rows. */
const SHIFT_1 = 0
const SCALE_1 = 1
const GATE_1 = 2
const SHIFT_2 = 3
const SCALE_2 = 4
const GATE_2 = 5

/** The embedded model's step of 16 pictures keeps 80 MB: no laptop misses them, and larger models compute again. */
export const MAX_KEPT_BYTES = 256e6

/** Of every block, for its backward: `keptBlock`'s tensors. */
export function keptBytes(config: DiffusionConfig, pictures: number): number {
  const { hiddenSize: hidden, intermediateSize: intermediate, heads, headDim, layers } = config
  const rows = pictures * sequenceLength(config)
  // Inputs normed twice, middle, attended, and the output; q, k, v and what attention gives; gate, up and their product.
  const row = 5 * hidden + 4 * heads * headDim + heads + 3 * intermediate
  return 4 * layers * rows * row
}

interface BlockLinears {
  readonly modulation: Linear
  readonly q: Linear
  readonly k: Linear
  readonly v: Linear
  readonly o: Linear
  readonly gate: Linear
  readonly up: Linear
  readonly down: Linear
}

/** What a block's backward reads of its forward pass. */
interface KeptBlock {
  /** [B, 6 D] */
  readonly modulation: Tensor
  /** [B * S, D], like `attended`, `middle` and `middleNormed`. */
  readonly normed: Tensor
  /** [B * S, heads * head width], like `k` and `v`. */
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly attention: { readonly out: Tensor; readonly logSumExp: Tensor }
  readonly attended: Tensor
  readonly middle: Tensor
  readonly middleNormed: Tensor
  /** [B * S, intermediate], like `up` and `activated`. */
  readonly gate: Tensor
  readonly up: Tensor
  readonly activated: Tensor
}

/** What is the same for every row of a picture. */
interface Condition {
  readonly pictures: number
  /** c [B, D]. */
  readonly c: Tensor
}

export class DiffusionModel
  extends PlacedModel<DiffusionConfig, DiffusionWeights>
  implements Model<PictureExample>
{
  readonly family = 'emoji-dit'
  readonly units = { example: 'picture', counted: 'picture', loss: 'squared error' } as const
  readonly modules: readonly AdapterModule[]
  readonly patches: Patches

  /** @param weights where they come from, or weights of this configuration already on the engine */
  constructor(engine: Engine, config: DiffusionConfig, weights: StoredSource | DiffusionWeights) {
    super(engine, config, weights, placingDiffusion)
    this.modules = diffusionModules(config)
    this.patches = new Patches(config)
  }

  /** What the velocity alone depends on. */
  velocityInputs(pictures: number): readonly InputSpec[] {
    const { config } = this
    const captionRows = pictures * config.captionTokens
    return [
      { name: 'ids', shape: [captionRows], dtype: 'int32' },
      { name: 'idWeights', shape: [captionRows], dtype: 'float32' },
      { name: 'time', shape: [pictures, config.timeFeatures], dtype: 'float32' },
      { name: 'x', shape: [pictures * patchesOf(config), patchWidth(config)], dtype: 'float32' },
    ]
  }

  inputs({ batch }: BatchShape): readonly InputSpec[] {
    const { config } = this
    return [
      ...this.velocityInputs(batch),
      { name: 'velocity', shape: [batch * patchesOf(config), patchWidth(config)], dtype: 'float32' },
      { name: 'weights', shape: [batch], dtype: 'float32' },
    ]
  }

  asTrained(examples: readonly PictureExample[], seed: string, step: number): PictureExample[] {
    return trainingPasses(this.config, examples, seed, step)
  }

  asMeasured(examples: readonly PictureExample[]): PictureExample[] {
    return measuredPasses(examples)
  }

  collate(examples: readonly PictureExample[], { batch }: BatchShape): Batch {
    if (examples.length > batch) throw new RangeError(`${examples.length} pictures in a batch of ${batch}`)
    const { length } = this.patches
    const inputs = this.emptyInputs(batch)
    const velocity = new Float32Array(batch * length)
    const weights = new Float32Array(batch).fill(1 / Math.max(1, examples.length), 0, examples.length)
    examples.forEach(({ pixels, ids, pass }, place) => {
      if (!pass) throw new RangeError('a picture without a time and noise cannot pass through the model')
      const mix = mixed(toUnit(pixels), pass.noise(), pass.time)
      this.layOut(inputs, place, ids, pass.time, mix.x)
      this.patches.cut(mix.velocity, velocity, place * length)
    })
    return {
      inputs: { ...inputs, velocity, weights },
      counted: examples.length,
      processed: examples.length,
    }
  }

  /** Inputs of the velocity for pictures that are laid out one by one. */
  emptyInputs(pictures: number) {
    const { config } = this
    return {
      ids: new Int32Array(pictures * config.captionTokens).fill(config.padId),
      idWeights: new Float32Array(pictures * config.captionTokens),
      time: new Float32Array(pictures * config.timeFeatures),
      x: new Float32Array(pictures * this.patches.length),
    }
  }

  /** One picture's place in them; the caption's mean is over what is no padding. */
  layOut(
    inputs: ReturnType<DiffusionModel['emptyInputs']>,
    place: number,
    ids: Int32Array,
    time: number,
    x: Float32Array,
  ): void {
    const { config } = this
    if (ids.length !== config.captionTokens) throw new RangeError(`${ids.length} ids of a caption`)
    if (x.length !== this.patches.length) throw new RangeError(`${x.length} numbers of a picture`)
    const at = place * config.captionTokens
    inputs.ids.set(ids, at)
    const real = ids.reduce((count, id) => count + (id === config.padId ? 0 : 1), 0)
    ids.forEach((id, i) => {
      inputs.idWeights[at + i] = id === config.padId ? 0 : 1 / real
    })
    writeTimeFeatures(config, time, inputs.time, place * config.timeFeatures)
    this.patches.cut(x, inputs.x, place * this.patches.length)
  }

  loss(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter | null): Tensor {
    return ops.scope('loss', () => {
      const velocity = this.velocity(ops, inputs, shape.batch, adapter)
      return ops.squaredError.forward(velocity, inputs.velocity, inputs.weights)
    })
  }

  lossAndGradients(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter): Tensor {
    return this.gradients(ops, inputs, shape, adapter).loss
  }

  /** The loss, and the gradient of the residual stream after each block, the last first. */
  gradients(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter) {
    const { config } = this
    return ops.scope('lossAndGradients', () => {
      const keep = keptBytes(config, shape.batch) <= MAX_KEPT_BYTES
      const { states, blocks, condition } = this.residuals(ops, inputs, shape.batch, adapter, keep)
      const last = states[config.layers]
      const head = this.head(ops, last, condition)
      const { loss, dy } = ops.squaredError.forwardBackward(head.velocity, inputs.velocity, inputs.weights)
      const dNormed = ops.linear.backward(dy, head.normed, { weight: this.weights.final })
      const dRows = ops.modulatedNorm.backward(dNormed, head.rows, head.scale, config.rmsNormEps)
      const hidden = [ops.lastRows.backward(dRows, condition.pictures, sequenceLength(config))]
      for (let layer = config.layers - 1; layer >= 0; layer--) {
        const dx = this.blockBackward(
          ops,
          hidden.at(-1)!,
          states[layer],
          layer,
          condition,
          adapter,
          blocks[layer],
        )
        if (dx) hidden.push(dx)
      }
      return { loss, hidden, final: dNormed }
    })
  }

  /** [B * patches, patch] */
  velocity(ops: Ops, inputs: Inputs, pictures: number, adapter: EngineAdapter | null): Tensor {
    return ops.scope('velocity', () => {
      const { states, condition } = this.residuals(ops, inputs, pictures, adapter)
      return this.head(ops, states[this.config.layers], condition).velocity
    })
  }

  /** c [B, D], the residual stream before the first and after each block, and what the last layer reads. */
  hiddenStates(ops: Ops, inputs: Inputs, pictures: number, adapter: EngineAdapter | null) {
    const { states, condition } = this.residuals(ops, inputs, pictures, adapter)
    return { condition: condition.c, states, ...this.head(ops, states[this.config.layers], condition) }
  }

  /** `blocks` of the same indices as the layers, or empty where they are not to be kept. */
  private residuals(ops: Ops, inputs: Inputs, pictures: number, adapter: EngineAdapter | null, keep = false) {
    const { weights } = this
    const { condition, first } = ops.scope('embed', () => {
      const caption = ops.embedding(inputs.ids, weights.embedding) // [B * caption tokens, D]
      const time = ops.linear.forward(ops.silu(ops.linear.forward(inputs.time, { weight: weights.timeIn })), {
        weight: weights.timeOut,
      }) // [B, D]
      const pooled = ops.weightedRows(caption, inputs.idWeights, pictures) // [B, D]
      const c = ops.silu(ops.linear.forward(pooled, { weight: weights.textPool }, { residual: time }))
      const patches = ops.linear.forward(inputs.x, { weight: weights.patchEmbed }) // [B * patches, D]
      const first = ops.joinRows(caption, patches, weights.positions, pictures) // [B * S, D]
      return { condition: { pictures, c } satisfies Condition, first }
    })
    const states = [first]
    const blocks: KeptBlock[] = []
    for (let layer = 0; layer < this.config.layers; layer++) {
      const { y, kept } = this.block(ops, states[layer], layer, condition, adapter, keep)
      states.push(y)
      if (kept) blocks.push(kept)
    }
    return { states, blocks, condition }
  }

  private head(ops: Ops, last: Tensor, { pictures, c }: Condition) {
    const { weights, config } = this
    const values = ops.linear.forward(c, { weight: weights.finalModulation }) // [B, 2 D]
    const [shift, scale]: PerPicture[] = [
      { values, part: 0 },
      { values, part: 1 },
    ]
    const rows = ops.lastRows.forward(last, pictures, patchesOf(config)) // [B * patches, D]
    const normed = ops.modulatedNorm.forward(rows, shift, scale, config.rmsNormEps)
    return { rows, scale, normed, velocity: ops.linear.forward(normed, { weight: weights.final }) }
  }

  private block(
    ops: Ops,
    x: Tensor,
    layer: number,
    condition: Condition,
    adapter: EngineAdapter | null,
    keep: boolean,
  ): { y: Tensor; kept: KeptBlock | null } {
    return ops.scope(`layer${layer}`, () => {
      const linears = this.linears(layer, adapter)
      const kept = keep ? this.blockForward(ops, x, linears, condition) : null
      const { modulation, middle, middleNormed } = kept ?? this.attend(ops, x, linears, condition)
      const activated = kept?.activated ?? ops.swiglu.ofLayers(middleNormed, [linears.gate, linears.up])
      const down = ops.linear.forward(activated, linears.down)
      return { y: ops.gatedAdd.forward(middle, down, { values: modulation, part: GATE_2 }), kept }
    })
  }

  /** A block up to its last projection, with everything its backward needs. */
  private blockForward(ops: Ops, x: Tensor, linears: BlockLinears, condition: Condition): KeptBlock {
    const own = this.attend(ops, x, linears, condition)
    return { ...own, ...ops.swiglu.ofLayersKept(own.middleNormed, [linears.gate, linears.up]) }
  }

  /** A block up to what its feed-forward half reads. */
  private attend(ops: Ops, x: Tensor, linears: BlockLinears, { c, pictures }: Condition) {
    const eps = this.config.rmsNormEps
    const modulation = ops.linear.forward(c, linears.modulation)
    const part = (part: number): PerPicture => ({ values: modulation, part })
    const normed = ops.modulatedNorm.forward(x, part(SHIFT_1), part(SCALE_1), eps)
    const [q, k, v] = ops.linear.forwardEach(normed, [linears.q, linears.k, linears.v])
    const attention = ops.attention.forward(q, k, v, this.attentionShape(pictures))
    const attended = ops.linear.forward(attention.out, linears.o)
    const middle = ops.gatedAdd.forward(x, attended, part(GATE_1))
    const middleNormed = ops.modulatedNorm.forward(middle, part(SHIFT_2), part(SCALE_2), eps)
    return { modulation, normed, q, k, v, attention, attended, middle, middleNormed }
  }

  /**
   * Gradient of the block's input from that of its output; null where nothing before it is trained. c comes from
   * frozen weights: a trained modulation needs no gradient of its input.
   */
  private blockBackward(
    ops: Ops,
    dy: Tensor,
    x: Tensor,
    layer: number,
    condition: Condition,
    adapter: EngineAdapter,
    keptBlock: KeptBlock | undefined,
  ): Tensor | null {
    return ops.scope(`layer${layer}.backward`, () => {
      const { pictures, c } = condition
      const eps = this.config.rmsNormEps
      const linears = this.linears(layer, adapter)
      const kept = keptBlock ?? this.blockForward(ops, x, linears, condition)
      const part = (part: number): PerPicture => ({ values: kept.modulation, part })
      const modulated = linears.modulation.lora !== undefined

      const dDown = ops.gatedAdd.backward(dy, part(GATE_2))
      const { activated, gate, up, middleNormed } = kept
      const { dGate, dUp } = ops.swiglu.backwardThrough(dDown, activated, linears.down, gate, up)
      const dMiddleNormed = ops.linear.backwardEach([dGate, dUp], middleNormed, [linears.gate, linears.up])
      const dMiddle = ops.modulatedNorm.backward(dMiddleNormed, kept.middle, part(SCALE_2), eps, {
        addTo: dy,
      })

      const dAttended = ops.gatedAdd.backward(dMiddle, part(GATE_1))
      const dOut = ops.linear.backward(dAttended, kept.attention.out, linears.o)
      const { out, logSumExp } = kept.attention
      const { dq, dk, dv } = ops.attention.backward(
        dOut,
        kept.q,
        kept.k,
        kept.v,
        out,
        logSumExp,
        this.attentionShape(pictures),
      )
      const projections = [linears.q, linears.k, linears.v]
      if (layer === 0 && !modulated) {
        // Before block 0 there are only frozen embeddings: the gradients of q, k and v's factors are all there is.
        ops.linear.backwardEach([dq, dk, dv], kept.normed, projections, { needInput: false })
        return null
      }
      const dNormed = ops.linear.backwardEach([dq, dk, dv], kept.normed, projections)

      if (modulated) {
        const first = ops.modulatedNorm.modulationGradients(dNormed, x, pictures, eps)
        const second = ops.modulatedNorm.modulationGradients(dMiddleNormed, kept.middle, pictures, eps)
        const down = ops.linear.forward(kept.activated, linears.down)
        const dModulation = ops.columns([
          first.dShift,
          first.dScale,
          ops.gatedAdd.gateGradient(dMiddle, kept.attended, pictures),
          second.dShift,
          second.dScale,
          ops.gatedAdd.gateGradient(dy, down, pictures),
        ]) // [B, 6 D]
        ops.linear.backward(dModulation, c, linears.modulation, { needInput: false })
      }
      if (layer === 0) return null
      return ops.modulatedNorm.backward(dNormed, x, part(SCALE_1), eps, { addTo: dMiddle })
    })
  }

  private attentionShape(pictures: number) {
    const { heads, headDim } = this.config
    const tokens = sequenceLength(this.config)
    return { batch: pictures, tokens, heads, kvHeads: heads, headDim, causal: false }
  }

  private linears(layer: number, adapter: EngineAdapter | null): BlockLinears {
    const weights = this.weights.layers[layer]
    const join = (weight: Tensor, module: string): Linear => {
      const lora = loraPath(adapter, `${layerName(layer)}.${module}`)
      return lora ? { weight, lora } : { weight }
    }
    return {
      modulation: join(weights.modulation, 'modulation'),
      q: join(weights.q, 'self_attn.q_proj'),
      k: join(weights.k, 'self_attn.k_proj'),
      v: join(weights.v, 'self_attn.v_proj'),
      o: join(weights.o, 'self_attn.o_proj'),
      gate: join(weights.gate, 'mlp.gate_proj'),
      up: join(weights.up, 'mlp.up_proj'),
      down: join(weights.down, 'mlp.down_proj'),
    }
  }
}
