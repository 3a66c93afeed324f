import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { parseLlamaConfig } from './config.ts'
import { llamaModules } from './modules.ts'

const read = (path: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/${path}`, import.meta.url), 'utf8'))
const nano = read('nano/config.json')
const untied = read('nano-untied/config.json')

describe('parseLlamaConfig', () => {
  it('reads the layout of transformers 4', () => {
    expect(parseLlamaConfig(nano)).toEqual({
      architecture: 'llama',
      vocabularySize: 97,
      hiddenSize: 32,
      intermediateSize: 48,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 8,
      ropeTheta: 10_000,
      ropeScaling: null,
      rmsNormEps: 1e-5,
      tiedEmbeddings: true,
      attentionBias: false,
      outputBias: false,
      qkNorm: false,
      mlpBias: false,
      maxPositions: 128,
      bosId: 1,
      eosId: 2,
      eosIds: [2],
    })
  })

  it('reads the layout of transformers 5', () => {
    const config = parseLlamaConfig(untied)
    expect(config).toMatchObject({
      ropeTheta: 500_000,
      headDim: 12,
      tiedEmbeddings: false,
      attentionBias: true,
    })
  })

  it('takes the defaults of transformers', () => {
    const { num_key_value_heads, head_dim, rope_theta, rms_norm_eps, tie_word_embeddings, ...rest } = nano
    expect(parseLlamaConfig(rest)).toMatchObject({
      kvHeads: 4,
      headDim: 8,
      ropeTheta: 10_000,
      rmsNormEps: 1e-6,
      tiedEmbeddings: false,
    })
  })

  it('keeps every end token of a list', () => {
    expect(parseLlamaConfig({ ...nano, eos_token_id: [5, 7] })).toMatchObject({ eosId: 5, eosIds: [5, 7] })
  })

  it.each([
    ['another architecture', { architectures: ['MistralForCausalLM'], model_type: 'mistral' }],
    ['a model_type that is not llama', { model_type: 'gpt2' }],
    ['scaled rotary positions (4)', { rope_scaling: { type: 'linear', factor: 2 } }],
    ['scaled rotary positions (5)', { rope_parameters: { rope_type: 'yarn', rope_theta: 5e5 } }],
    ['partial rotary positions', { rope_parameters: { partial_rotary_factor: 0.5 } }],
    ['another activation', { hidden_act: 'gelu' }],
    ['quantised weights', { quantization_config: { bits: 4 } }],
  ])('refuses %s by name', (_, change) => {
    const attempt = () => parseLlamaConfig({ ...nano, ...change })
    expect(attempt).toThrow(FormatError)
    expect(attempt).toThrow(expect.objectContaining({ code: 'config/unsupported' }))
    expect(attempt).toThrow(/supported are LlamaForCausalLM/)
  })

  it.each([
    ['no vocabulary', { vocab_size: undefined }],
    ['a fraction', { hidden_size: 1.5 }],
    ['a string', { num_hidden_layers: '2' }],
    ['zero layers', { num_hidden_layers: 0 }],
    ['a billion layers', { num_hidden_layers: 1e9 }],
    ['infinite width', { hidden_size: Infinity }],
    ['heads that do not divide', { num_key_value_heads: 3 }],
    ['odd heads', { head_dim: 7 }],
    ['no head', { num_attention_heads: 0 }],
    ['eps 0', { rms_norm_eps: 0 }],
    ['a negative theta', { rope_theta: -1 }],
    ['NaN theta', { rope_theta: Number.NaN }],
    ['an end token outside the vocabulary', { eos_token_id: 97 }],
    ['a beginning token below 0', { bos_token_id: -1 }],
    ['a flag that is a string', { attention_bias: 'false' }],
    ['rope_parameters that are a list', { rope_parameters: [] }],
    ['neither architecture nor model_type', { architectures: undefined, model_type: undefined }],
  ])('refuses %s', (_, change) => {
    expect(() => parseLlamaConfig({ ...nano, ...change })).toThrow(
      expect.objectContaining({ code: 'config/malformed' }),
    )
  })

  it.each([[null], [[]], ['{}'], [7]])('refuses %j', (json) => {
    expect(() => parseLlamaConfig(json)).toThrow(FormatError)
  })
})

describe('llamaModules', () => {
  it('lists seven projections a layer with the shapes of the weights', () => {
    const modules = llamaModules(parseLlamaConfig(untied))
    expect(modules).toHaveLength(14)
    expect(modules[0]).toEqual({
      name: 'base_model.model.model.layers.0.self_attn.q_proj',
      inFeatures: 30,
      outFeatures: 36,
    })
    expect(modules[13]).toEqual({
      name: 'base_model.model.model.layers.1.mlp.down_proj',
      inFeatures: 44,
      outFeatures: 30,
    })
  })

  it('gives key and value heads their own width', () => {
    const [, key] = llamaModules(parseLlamaConfig(nano))
    expect(key).toMatchObject({ inFeatures: 32, outFeatures: 16 })
  })
})
