/**
 * The Llama family over `Ops`: forward, and the backward written by hand, block by block. Training keeps only
 * each block's input (one [rows, hidden] tensor a block); the block is computed again on the way back, so
 * memory does not grow with what happens inside a block (as llm.c and gradient checkpointing do,
 * https://arxiv.org/abs/1604.06174).
 *
 * Touvron et al. 2023, https://arxiv.org/abs/2302.13971; module names are Hugging Face's and PEFT's.
 */
import type { AdapterModule } from '../adapters/adapter.ts'
import type { Engine, InputSpec } from '../backend/engine.ts'
import { PlacedModel } from '../families/placed-model.ts'
import type { StoredSource } from '../families/placing.ts'
import type { AttentionShape, KvCache, Linear, Ops, Tensor } from '../ops/ops.ts'
import { collateWindows, windowInputs, windowsFit } from '../text/batch.ts'
import type { TextExample } from '../text/windows.ts'
import { loraPath } from '../training/engine-adapter.ts'
import type { Batch, BatchShape, EngineAdapter, Model } from '../training/model.ts'
import type { LlamaConfig } from './config.ts'
import { llamaModules } from './modules.ts'
import { type FrozenLinear, type LlamaWeights, placingLlama } from './weights.ts'

type Inputs = Readonly<Record<string, Tensor>>

interface BlockLinears {
  readonly q: Linear
  readonly k: Linear
  readonly v: Linear
  readonly o: Linear
  readonly gate: Linear
  readonly up: Linear
  readonly down: Linear
}

export class LlamaModel extends PlacedModel<LlamaConfig, LlamaWeights> implements Model<TextExample> {
  readonly family = 'llama'
  readonly units = { example: 'window', counted: 'token', loss: 'nats a token' } as const
  readonly modules: readonly AdapterModule[]

  /** @param weights where they come from, or weights of this configuration already on the engine */
  constructor(engine: Engine, config: LlamaConfig, weights: StoredSource | LlamaWeights) {
    super(engine, config, weights, placingLlama)
    this.modules = llamaModules(config)
  }

  inputs(shape: BatchShape): readonly InputSpec[] {
    return windowInputs(shape)
  }

  fits(examples: readonly TextExample[], shape: BatchShape): boolean {
    return windowsFit(examples, shape)
  }

  collate(examples: readonly TextExample[], shape: BatchShape): Batch {
    return collateWindows(examples, shape)
  }

  loss(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter | null): Tensor {
    return ops.scope('loss', () => {
      const hidden = this.hiddenStates(ops, inputs, shape, adapter).at(-1)!
      return ops.linearCrossEntropy.forward(hidden, this.weights.head, inputs.targets, inputs.rowWeights)
    })
  }

  lossAndGradients(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter): Tensor {
    const { weights, config } = this
    return ops.scope('lossAndGradients', () => {
      const states = this.residuals(ops, inputs, shape, adapter)
      const last = states[config.layers]
      const normed = ops.rmsNorm.forward(last, weights.finalNorm, config.rmsNormEps)
      const { nll, dx } = ops.linearCrossEntropy.forwardBackward(
        normed,
        weights.head,
        inputs.targets,
        inputs.rowWeights,
      )
      let gradient: Tensor | null = ops.rmsNorm.backward(dx, last, weights.finalNorm, config.rmsNormEps)
      for (let layer = config.layers - 1; layer >= 0; layer--) {
        gradient = this.blockBackward(ops, gradient!, states[layer], layer, inputs, shape, adapter)
      }
      return nll
    })
  }

  /** Residual stream before the first block, after each block, and after the final norm: layers + 2 tensors. */
  hiddenStates(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter | null): Tensor[] {
    const states = this.residuals(ops, inputs, shape, adapter)
    states.push(
      ops.rmsNorm.forward(states[this.config.layers], this.weights.finalNorm, this.config.rmsNormEps),
    )
    return states
  }

  /** [rows, vocabulary]: for tests and small models; training never makes them. */
  logits(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter | null): Tensor {
    return ops.scope('logits', () =>
      ops.linear.forward(this.hiddenStates(ops, inputs, shape, adapter).at(-1)!, {
        weight: this.weights.head,
      }),
    )
  }

  /**
   * Generation: runs `ids` [rows] at `positions` [rows] through the caches (one a block), which afterwards hold
   * them; returns the residual stream after the last block [rows, hidden].
   */
  extend(ops: Ops, inputs: Inputs, caches: readonly KvCache[], adapter: EngineAdapter | null): Tensor {
    return ops.scope('extend', () => {
      let x = ops.embedding(inputs.ids, this.weights.embedding)
      for (let layer = 0; layer < this.config.layers; layer++) {
        x = this.blockCached(ops, x, layer, inputs.positions, caches[layer], adapter)
      }
      return x
    })
  }

  /** Logits [1, vocabulary] after the last row of what `extend` returned. */
  nextLogits(ops: Ops, x: Tensor): Tensor {
    return ops.scope('nextLogits', () =>
      ops.lastRowLogits(
        ops.rmsNorm.forward(x, this.weights.finalNorm, this.config.rmsNormEps),
        this.weights.head,
      ),
    )
  }

  private residuals(ops: Ops, inputs: Inputs, shape: BatchShape, adapter: EngineAdapter | null): Tensor[] {
    const states = [ops.embedding(inputs.ids, this.weights.embedding)] // [rows, hidden]
    for (let layer = 0; layer < this.config.layers; layer++) {
      states.push(this.block(ops, states[layer], layer, inputs, shape, adapter))
    }
    return states
  }

  private block(
    ops: Ops,
    x: Tensor,
    layer: number,
    inputs: Inputs,
    shape: BatchShape,
    adapter: EngineAdapter | null,
  ): Tensor {
    return ops.scope(`layer${layer}`, () => {
      const { linears, middle } = this.attend(ops, x, layer, inputs, shape, adapter)
      return this.feedForward(ops, middle, layer, linears)
    })
  }

  /** A block up to its last projection, with everything its backward needs. */
  private blockForward(
    ops: Ops,
    x: Tensor,
    layer: number,
    inputs: Inputs,
    shape: BatchShape,
    adapter: EngineAdapter | null,
  ) {
    const own = this.attend(ops, x, layer, inputs, shape, adapter)
    const { gate, up } = own.linears
    const middleNormed = this.middleNormed(ops, own.middle, layer)
    return { ...own, middleNormed, ...ops.swiglu.ofLayersKept(middleNormed, [gate, up]) }
  }

  /** A block's first half: what attention adds to its input. */
  private attend(
    ops: Ops,
    x: Tensor,
    layer: number,
    inputs: Inputs,
    shape: BatchShape,
    adapter: EngineAdapter | null,
  ) {
    const own = this.attentionInputs(ops, x, layer, inputs.positions, adapter)
    const { linears, q, k, v } = own
    const attention = ops.attention.forward(q, k, v, this.attentionShape(shape), inputs.segments)
    const middle = ops.linear.forward(attention.out, linears.o, { residual: x })
    return { ...own, attention, middle }
  }

  /** The block's normed input and its queries, keys and values, turned to their positions. */
  private attentionInputs(
    ops: Ops,
    x: Tensor,
    layer: number,
    positions: Tensor,
    adapter: EngineAdapter | null,
  ) {
    const { config } = this
    const weights = this.weights.layers[layer]
    const linears = this.linears(layer, adapter)
    const normed = ops.rmsNorm.forward(x, weights.inputNorm, config.rmsNormEps)
    const [rawQ, rawK, v] = ops.linear.forwardEach(normed, [linears.q, linears.k, linears.v])
    const headNormed = (x: Tensor, norm: Tensor | undefined) =>
      norm ? ops.rmsNorm.forward(x, norm, config.rmsNormEps) : x
    const [q, k] = ops.rotary.both(
      'forward',
      [headNormed(rawQ, weights.qNorm), headNormed(rawK, weights.kNorm)],
      this.weights.rotary,
      positions,
      config.headDim,
    )
    return { linears, normed, rawQ, rawK, q, k, v }
  }

  /** A block's second half, nothing kept. */
  private feedForward(ops: Ops, middle: Tensor, layer: number, { gate, up, down }: BlockLinears): Tensor {
    const activated = ops.swiglu.ofLayers(this.middleNormed(ops, middle, layer), [gate, up])
    return ops.linear.forward(activated, down, { residual: middle })
  }

  private middleNormed(ops: Ops, middle: Tensor, layer: number): Tensor {
    return ops.rmsNorm.forward(middle, this.weights.layers[layer].postNorm, this.config.rmsNormEps)
  }

  /** Gradient of the block's input from that of its output; null for block 0, whose input is frozen. */
  private blockBackward(
    ops: Ops,
    dy: Tensor,
    x: Tensor,
    layer: number,
    inputs: Inputs,
    shape: BatchShape,
    adapter: EngineAdapter,
  ): Tensor | null {
    return ops.scope(`layer${layer}.backward`, () => {
      const { config } = this
      const weights = this.weights.layers[layer]
      const kept = this.blockForward(ops, x, layer, inputs, shape, adapter)
      const { linears } = kept

      const { dGate, dUp } = ops.swiglu.backwardThrough(dy, kept.activated, linears.down, kept.gate, kept.up)
      const dMiddleNormed = ops.linear.backwardEach([dGate, dUp], kept.middleNormed, [
        linears.gate,
        linears.up,
      ])
      const dMiddle = ops.rmsNorm.backward(dMiddleNormed, kept.middle, weights.postNorm, config.rmsNormEps, {
        addTo: dy,
      })

      const dOut = ops.linear.backward(dMiddle, kept.attention.out, linears.o)
      const { dq, dk, dv } = ops.attention.backward(
        dOut,
        kept.q,
        kept.k,
        kept.v,
        kept.attention.out,
        kept.attention.logSumExp,
        this.attentionShape(shape),
        inputs.segments,
      )
      const [dTurnedQuery, dTurnedKey] = ops.rotary.both(
        'backward',
        [dq, dk],
        this.weights.rotary,
        inputs.positions,
        config.headDim,
      )
      const beforeNorm = (dy: Tensor, x: Tensor, norm: Tensor | undefined) =>
        norm ? ops.rmsNorm.backward(dy, x, norm, config.rmsNormEps) : dy
      const dQuery = beforeNorm(dTurnedQuery, kept.rawQ, weights.qNorm)
      const dKey = beforeNorm(dTurnedKey, kept.rawK, weights.kNorm)
      const projections = [linears.q, linears.k, linears.v]
      const dProjections = [dQuery, dKey, dv]
      if (layer === 0) {
        // Below block 0 there are only frozen embeddings: the gradients of q, k and v's factors are all there is.
        ops.linear.backwardEach(dProjections, kept.normed, projections, { needInput: false })
        return null
      }
      const dNormed = ops.linear.backwardEach(dProjections, kept.normed, projections)
      return ops.rmsNorm.backward(dNormed, x, weights.inputNorm, config.rmsNormEps, { addTo: dMiddle })
    })
  }

  private blockCached(
    ops: Ops,
    x: Tensor,
    layer: number,
    positions: Tensor,
    cache: KvCache,
    adapter: EngineAdapter | null,
  ): Tensor {
    return ops.scope(`layer${layer}.cached`, () => {
      const { config } = this
      const { linears, q, k, v } = this.attentionInputs(ops, x, layer, positions, adapter)
      const attended = ops.attention.cached(q, k, v, cache, positions, config.heads, config.headDim)
      const middle = ops.linear.forward(attended, linears.o, { residual: x })
      return this.feedForward(ops, middle, layer, linears)
    })
  }

  private attentionShape(shape: BatchShape): AttentionShape {
    const { heads, kvHeads, headDim } = this.config
    return { batch: shape.batch, tokens: shape.tokens, heads, kvHeads, headDim, causal: true }
  }

  private linears(layer: number, adapter: EngineAdapter | null): BlockLinears {
    const weights = this.weights.layers[layer]
    const at = `base_model.model.model.layers.${layer}`
    const join = (frozen: FrozenLinear, module: string): Linear => {
      const lora = loraPath(adapter, `${at}.${module}`)
      return lora ? { ...frozen, lora } : frozen
    }
    return {
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
