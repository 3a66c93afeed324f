import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Adapter, LoraFactors } from '../adapters/adapter.ts'
import { FormatError } from '../errors.ts'
import { parseLlamaConfig } from '../llama/config.ts'
import { llamaModules } from '../llama/modules.ts'
import { readPeftAdapter, writePeftAdapter } from './peft.ts'
import {
  bytesOf,
  parseSafetensors,
  type SafetensorsInput,
  toFloat32,
  writeSafetensors,
} from './safetensors.ts'

const read = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/${path}`, import.meta.url)))
const config = JSON.parse(new TextDecoder().decode(read('nano/lora/adapter_config.json')))
const weights = read('nano/lora/adapter_model.safetensors')

describe('readPeftAdapter', () => {
  it.each(['nano', 'nano-untied'])('reads the adapter of %s, which fits its model', (name) => {
    const adapter = readPeftAdapter(
      read(`${name}/lora/adapter_config.json`),
      read(`${name}/lora/adapter_model.safetensors`),
    )
    const model = JSON.parse(new TextDecoder().decode(read(`${name}/config.json`)))
    const modules = llamaModules(parseLlamaConfig(model))
    expect(adapter.modules.size).toBe(14)
    const { tensors } = parseSafetensors(read(`${name}/lora/adapter_model.safetensors`))
    for (const module of modules) {
      const factors = adapter.modules.get(module.name)!
      expect(factors).toMatchObject({ ...module, rank: 4, alpha: 8 })
      expect(factors.a).toEqual(toFloat32(tensors.get(`${module.name}.lora_A.weight`)!))
      expect(factors.b).toEqual(toFloat32(tensors.get(`${module.name}.lora_B.weight`)!))
    }
  })

  it('folds the scale of rank-stabilised LoRA into alpha', () => {
    const adapter = readPeftAdapter(JSON.stringify({ ...config, use_rslora: true }), weights)
    // alpha / sqrt(4) = 4, which is alpha' / 4 for alpha' = 16.
    for (const factors of adapter.modules.values()) expect(factors.alpha).toBe(16)
  })

  it('honours patterns, the first that matches', () => {
    const others = ['k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
    const patterned = {
      ...config,
      r: 9,
      rank_pattern: {
        'layers.0.self_attn.q_proj': 4,
        '^model\\.layers\\.1\\.self_attn\\.q_proj$': 4,
        ...Object.fromEntries(others.map((name) => [name, 4])),
      },
      alpha_pattern: { 'model.layers.0.self_attn.q_proj': 1, q_proj: 2, '^up_proj': 3, proj: 7 },
    }
    const { modules } = readPeftAdapter(JSON.stringify(patterned), weights)
    const alpha = (name: string) => modules.get(`base_model.model.model.layers.${name}`)!.alpha
    expect(alpha('0.self_attn.q_proj')).toBe(1)
    expect(alpha('1.self_attn.q_proj')).toBe(2)
    expect(alpha('0.mlp.up_proj')).toBe(8)
  })

  it.each([
    ['use_dora', true],
    ['bias', 'all'],
    ['lora_bias', true],
    ['modules_to_save', ['lm_head']],
    ['fan_in_fan_out', true],
    ['init_lora_weights', 'pissa'],
    ['layer_replication', [[0, 2]]],
    ['target_parameters', ['x']],
    ['peft_type', 'IA3'],
    ['rank_pattern', { '(a+)+$': 4 }],
    ['trainable_token_indices', [1]],
  ])('refuses %s by name', (option, value) => {
    const attempt = () => readPeftAdapter(JSON.stringify({ ...config, [option]: value }), weights)
    expect(attempt).toThrow(expect.objectContaining({ code: 'peft/unsupported' }))
    expect(attempt).toThrow(new RegExp(option))
  })

  it.each([
    ['r', 0],
    ['r', '4'],
    ['r', 1e9],
    ['r', 5],
    ['lora_alpha', '8'],
    ['lora_alpha', null],
    ['rank_pattern', []],
    ['rank_pattern', { q_proj: 1.5 }],
    ['rank_pattern', { q_proj: 8 }],
  ])('refuses %s = %j', (option, value) => {
    expect(() => readPeftAdapter(JSON.stringify({ ...config, [option]: value }), weights)).toThrow(
      expect.objectContaining({ code: 'peft/malformed' }),
    )
  })

  it.each(['', '[]', 'null', '{"r":4,"r":4}', '{', `${'['.repeat(100_000)}`])(
    'refuses the configuration %#',
    (text) => {
      expect(() => readPeftAdapter(text, weights)).toThrow(FormatError)
    },
  )

  const tensors = [...parseSafetensors(weights).tensors].map(([name, tensor]) => ({ name, ...tensor }))
  const change = (over: Partial<SafetensorsInput>) =>
    writeSafetensors(tensors.map((tensor, i) => (i === 0 ? { ...tensor, ...over } : tensor)))
  const extra = (name: string) => writeSafetensors([...tensors, { ...tensors[0], name }])
  const dim = tensors[0].shape[0] * tensors[0].shape[1]

  it.each([
    ['a missing factor', writeSafetensors(tensors.slice(1)), 'peft/malformed'],
    ['no factors', writeSafetensors([]), 'peft/malformed'],
    ['a vector', change({ shape: [dim] }), 'peft/malformed'],
    ['a transposed factor', change({ shape: [...tensors[0].shape].reverse() }), 'peft/malformed'],
    ['integers', change({ dtype: 'I32' }), 'peft/malformed'],
    ['NaN', change({ bytes: bytesOf(new Float32Array(dim).fill(Number.NaN)) }), 'peft/malformed'],
    ['a magnitude vector of DoRA', extra('base_model.model.x.lora_magnitude_vector'), 'peft/unsupported'],
    ['a saved module', extra('base_model.model.lm_head.weight'), 'peft/unsupported'],
    ['a name outside PEFT', extra('x.lora_A.weight'), 'peft/unsupported'],
  ])('refuses %s', (_, file, code) => {
    expect(() => readPeftAdapter(JSON.stringify(config), file)).toThrow(expect.objectContaining({ code }))
  })
})

describe('writePeftAdapter', () => {
  const factors = (layer: number, rank: number, alpha: number): LoraFactors => ({
    name: `base_model.model.model.layers.${layer}.self_attn.q_proj`,
    inFeatures: 6,
    outFeatures: 5,
    rank,
    alpha,
    a: Float32Array.from({ length: 6 * rank }, (_, i) => i + layer),
    b: Float32Array.from({ length: 5 * rank }, (_, i) => -i - layer),
  })
  const adapterOf = (...list: LoraFactors[]): Adapter => ({
    modules: new Map(list.map((module) => [module.name, module])),
  })
  const parse = (folder: { 'adapter_config.json': Uint8Array }) =>
    JSON.parse(new TextDecoder().decode(folder['adapter_config.json']))
  const reread = (adapter: Adapter) => {
    const folder = writePeftAdapter(adapter, 'base')
    return readPeftAdapter(folder['adapter_config.json'], folder['adapter_model.safetensors'])
  }

  it('is read back to the bit, mixed ranks and alphas too', () => {
    const mixed = adapterOf(
      factors(0, 4, 8),
      factors(1, 2, 8),
      factors(2, 4, 0.5),
      factors(10, 1, 8),
      factors(11, 4, 8),
    )
    expect(reread(mixed)).toEqual(mixed)
    const config = parse(writePeftAdapter(mixed, 'base'))
    expect(config).toMatchObject({
      r: 4,
      lora_alpha: 8,
      rank_pattern: { 'model.layers.1.self_attn.q_proj': 2, 'model.layers.10.self_attn.q_proj': 1 },
      alpha_pattern: { 'model.layers.2.self_attn.q_proj': 0.5 },
      base_model_name_or_path: 'base',
      peft_type: 'LORA',
    })
    expect(config.target_modules).toHaveLength(5)
  })

  it('needs no patterns for one rank', () => {
    const config = parse(writePeftAdapter(adapterOf(factors(0, 4, 8), factors(1, 4, 8)), 'base'))
    expect(config).toMatchObject({ r: 4, lora_alpha: 8, rank_pattern: {}, alpha_pattern: {} })
  })

  it('round-trips what PEFT wrote', () => {
    const adapter = readPeftAdapter(JSON.stringify(config), weights)
    expect(reread(adapter)).toEqual(adapter)
  })

  it('writes the same bytes again', () => {
    const adapter = adapterOf(factors(0, 4, 8), factors(1, 2, 8))
    expect(writePeftAdapter(adapter, 'base')).toEqual(writePeftAdapter(adapter, 'base'))
  })

  it('leaves out what changes nothing, and refuses an adapter of nothing', () => {
    expect([...reread(adapterOf(factors(0, 0, 8), factors(1, 2, 8))).modules.keys()]).toEqual([
      factors(1, 2, 8).name,
    ])
    expect(() => writePeftAdapter(adapterOf(factors(0, 0, 8)), 'base')).toThrow(
      expect.objectContaining({ code: 'peft/empty' }),
    )
  })
})
