/** A diffusion transformer's frozen weights on an engine, under the names of its file. */
import type { Placer, Placing } from '../families/placing.ts'
import type { Tensor } from '../ops/ops.ts'
import { type DiffusionConfig, patchesOf, patchWidth, sequenceLength } from './config.ts'

export interface DiffusionLayerWeights {
  readonly modulation: Tensor // [6 hidden, hidden]
  readonly q: Tensor // [heads * headDim, hidden], as k and v
  readonly k: Tensor
  readonly v: Tensor
  readonly o: Tensor // [hidden, heads * headDim]
  readonly gate: Tensor // [intermediate, hidden]
  readonly up: Tensor // [intermediate, hidden]
  readonly down: Tensor // [hidden, intermediate]
}

export interface DiffusionWeights {
  readonly embedding: Tensor // [vocabulary, hidden]
  /** Of the caption's tokens, then of the patches: [sequence, hidden]. */
  readonly positions: Tensor
  readonly patchEmbed: Tensor // [hidden, patch]
  readonly timeIn: Tensor // [hidden, timeFeatures]
  readonly timeOut: Tensor // [hidden, hidden]
  readonly textPool: Tensor // [hidden, hidden]
  readonly layers: readonly DiffusionLayerWeights[]
  readonly finalModulation: Tensor // [2 hidden, hidden]
  readonly final: Tensor // [patch, hidden]
  readonly all: readonly Tensor[]
}

/** @throws FormatError `model/missing-tensor`, `model/wrong-shape` */
export function* placingDiffusion(config: DiffusionConfig, placer: Placer): Placing<DiffusionWeights> {
  const { hiddenSize: hidden, intermediateSize: intermediate } = config
  const width = config.heads * config.headDim
  const weight = (name: string, out: number, columns: number) =>
    placer.place(`${name}.weight`, [out, columns])

  const embedding = yield* weight('token_embed', config.vocabularySize, hidden)
  const textPositions = yield* placer.values('text_pos', [config.captionTokens, hidden])
  const patchPositions = yield* placer.values('patch_pos', [patchesOf(config), hidden])
  const positions = new Float32Array(sequenceLength(config) * hidden)
  positions.set(textPositions)
  positions.set(patchPositions, textPositions.length)
  const layers: DiffusionLayerWeights[] = []
  const weights = {
    embedding,
    positions: placer.constant(positions, [sequenceLength(config), hidden]),
    patchEmbed: yield* weight('patch_embed', hidden, patchWidth(config)),
    timeIn: yield* weight('time_in', hidden, config.timeFeatures),
    timeOut: yield* weight('time_out', hidden, hidden),
    textPool: yield* weight('text_pool', hidden, hidden),
    layers,
    finalModulation: yield* weight('final_modulation', 2 * hidden, hidden),
    final: yield* weight('final', patchWidth(config), hidden),
    all: placer.placed,
  }
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `layers.${layer}`
    const modulation = yield* weight(`${at}.modulation`, 6 * hidden, hidden)
    const [q, k, v] = placer.together([
      { weight: yield* weight(`${at}.self_attn.q_proj`, width, hidden) },
      { weight: yield* weight(`${at}.self_attn.k_proj`, width, hidden) },
      { weight: yield* weight(`${at}.self_attn.v_proj`, width, hidden) },
    ])
    const o = yield* weight(`${at}.self_attn.o_proj`, hidden, width)
    const [gate, up] = placer.together([
      { weight: yield* weight(`${at}.mlp.gate_proj`, intermediate, hidden) },
      { weight: yield* weight(`${at}.mlp.up_proj`, intermediate, hidden) },
    ])
    const down = yield* weight(`${at}.mlp.down_proj`, hidden, intermediate)
    layers.push({
      ...{ modulation, q: q.weight, k: k.weight, v: v.weight, o },
      ...{ gate: gate.weight, up: up.weight, down },
    })
  }
  return weights
}
