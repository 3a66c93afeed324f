/**
 * A Llama's frozen weights on an engine, under Hugging Face's names, every shape checked against the
 * configuration before anything is uploaded.
 */
import { FormatError } from '../errors.ts'
import type { Placer, Placing } from '../families/placing.ts'
import type { Tensor } from '../ops/ops.ts'
import type { LlamaConfig } from './config.ts'
import { llama3Divisor, ROPE_FACTORS_TENSOR } from './rope-scaling.ts'

export interface FrozenLinear {
  readonly weight: Tensor // [out, in]
  readonly bias?: Tensor // [out]
}

export interface LlamaLayerWeights {
  readonly inputNorm: Tensor // [hidden]
  readonly q: FrozenLinear // [heads * headDim, hidden]
  readonly k: FrozenLinear // [kvHeads * headDim, hidden]
  readonly v: FrozenLinear // [kvHeads * headDim, hidden]
  readonly o: FrozenLinear // [hidden, heads * headDim]
  /** Of every head by itself, where the model has them. */
  readonly qNorm?: Tensor // [headDim]
  readonly kNorm?: Tensor // [headDim]
  readonly postNorm: Tensor // [hidden]
  readonly gate: FrozenLinear // [intermediate, hidden]
  readonly up: FrozenLinear // [intermediate, hidden]
  readonly down: FrozenLinear // [hidden, intermediate]
}

export interface LlamaWeights {
  readonly embedding: Tensor // [vocabulary, hidden]
  readonly layers: readonly LlamaLayerWeights[]
  readonly finalNorm: Tensor // [hidden]
  /** [vocabulary, hidden]; the embedding itself where the two are tied. */
  readonly head: Tensor
  /** [positions, headDim]: cosines, then sines. */
  readonly rotary: Tensor
  readonly all: readonly Tensor[]
}

/** Cosines and sines of every position: Llama 3.1's 131,072 positions of 128 entries are a quarter of this. */
const MAX_ROTARY_ENTRIES = 2 ** 26

/** Llama 3.2's is 32. */
const MAX_ROPE_DIVISOR = 65_536

/** @throws FormatError `model/missing-tensor`, `model/wrong-shape`, `model/bad-tensor`, `model/too-long` */
export function* placingLlama(config: LlamaConfig, placer: Placer): Placing<LlamaWeights> {
  if (config.maxPositions * config.headDim > MAX_ROTARY_ENTRIES) {
    throw new FormatError(
      'model/too-long',
      `The model is made for ${config.maxPositions} positions of ${config.headDim} entries, more than is supported; choose one made for shorter texts.`,
    )
  }
  const place = (name: string, shape: readonly number[]) => placer.place(name, shape)
  function* linear(name: string, out: number, width: number, bias: boolean): Placing<FrozenLinear> {
    const weight = yield* place(`${name}.weight`, [out, width])
    return bias ? { weight, bias: yield* place(`${name}.bias`, [out]) } : { weight }
  }

  function* ropeDivisors(headDim: number): Placing<Float32Array> {
    const found = yield* placer.find(ROPE_FACTORS_TENSOR, [headDim / 2])
    const divisors = 'values' in found ? found.values : undefined // a list never comes packed
    if (!divisors?.every((divisor) => divisor >= 1 && divisor <= MAX_ROPE_DIVISOR)) {
      throw new FormatError(
        'model/bad-tensor',
        `The model file's ${ROPE_FACTORS_TENSOR} holds something else than numbers from 1 to ${MAX_ROPE_DIVISOR}; download the model again.`,
      )
    }
    return divisors
  }

  const { hiddenSize: hidden, intermediateSize: intermediate, vocabularySize: vocabulary, headDim } = config
  const queryWidth = config.heads * headDim
  const keyWidth = config.kvHeads * headDim
  const embedding = yield* place('model.embed_tokens.weight', [vocabulary, hidden])
  const layers: LlamaLayerWeights[] = []
  for (let index = 0; index < config.layers; index++) {
    const at = `model.layers.${index}`
    const inputNorm = yield* place(`${at}.input_layernorm.weight`, [hidden])
    const [q, k, v] = placer.together([
      yield* linear(`${at}.self_attn.q_proj`, queryWidth, hidden, config.attentionBias),
      yield* linear(`${at}.self_attn.k_proj`, keyWidth, hidden, config.attentionBias),
      yield* linear(`${at}.self_attn.v_proj`, keyWidth, hidden, config.attentionBias),
    ])
    const [gate, up] = placer.together([
      yield* linear(`${at}.mlp.gate_proj`, intermediate, hidden, config.mlpBias),
      yield* linear(`${at}.mlp.up_proj`, intermediate, hidden, config.mlpBias),
    ])
    layers.push({
      inputNorm,
      ...{ q, k, v },
      o: yield* linear(`${at}.self_attn.o_proj`, hidden, queryWidth, config.outputBias),
      ...(config.qkNorm && {
        qNorm: yield* place(`${at}.self_attn.q_norm.weight`, [headDim]),
        kNorm: yield* place(`${at}.self_attn.k_norm.weight`, [headDim]),
      }),
      postNorm: yield* place(`${at}.post_attention_layernorm.weight`, [hidden]),
      gate,
      up,
      down: yield* linear(`${at}.mlp.down_proj`, hidden, intermediate, config.mlpBias),
    })
  }
  const finalNorm = yield* place('model.norm.weight', [hidden])
  const head = config.tiedEmbeddings ? embedding : yield* place('lm_head.weight', [vocabulary, hidden])
  const divisors = config.ropeScaling === 'in-file' ? yield* ropeDivisors(headDim) : undefined
  const rotary = placer.constant(rotaryTable(config, divisors), [config.maxPositions, headDim])
  return { embedding, layers, finalNorm, head, rotary, all: placer.placed }
}

/** Of pair i of a head, in radians a position, before any scaling; rounded where transformers rounds. */
export const plainFrequency = (theta: number, i: number, headDim: number): number =>
  Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim)))

/**
 * [positions, headDim] cosines and sines of position * theta^(-2i/headDim), rounded to float32 where
 * transformers rounds, so that long positions agree with it. Su et al. 2021, https://arxiv.org/abs/2104.09864
 *
 * @param divisors of the frequencies, [headDim / 2], where the model's file holds them
 */
export function rotaryTable(
  config: Pick<LlamaConfig, 'maxPositions' | 'headDim' | 'ropeTheta' | 'ropeScaling'>,
  divisors?: Float32Array,
): Float32Array {
  const { ropeScaling } = config
  const half = config.headDim / 2
  const table = new Float32Array(config.maxPositions * config.headDim)
  for (let i = 0; i < half; i++) {
    const plain = plainFrequency(config.ropeTheta, i, config.headDim)
    const divisor =
      divisors?.[i] ?? (ropeScaling && ropeScaling !== 'in-file' ? llama3Divisor(plain, ropeScaling) : 1)
    const frequency = Math.fround(plain / divisor)
    for (let position = 0; position < config.maxPositions; position++) {
      const angle = Math.fround(position * frequency)
      table[position * config.headDim + i] = Math.cos(angle)
      table[position * config.headDim + half + i] = Math.sin(angle)
    }
  }
  return table
}
