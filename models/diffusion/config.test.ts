import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createNodeEngine } from '../backend/node.ts'
import { FormatError } from '../errors.ts'
import { specOfConfig } from '../families/index.ts'
import { placeAll, type StoredSource } from '../families/placing.ts'
import { parseSafetensors, toFloat32 } from '../formats/safetensors.ts'
import { fixtures } from '../testing/fixtures.ts'
import { parseDiffusionConfig, sequenceLength } from './config.ts'
import { diffusionModules, projections } from './modules.ts'
import { placingDiffusion } from './weights.ts'

const files = fixtures.modelFiles('emoji-dit-nano')
const json: Record<string, unknown> = JSON.parse(new TextDecoder().decode(files.get('config.json')!))

describe('the configuration of a diffusion transformer', () => {
  it('says what the file says', () => {
    const config = parseDiffusionConfig(json)
    expect(config).toMatchObject({ imageSize: 8, patchSize: 4, heads: 2, headDim: 12, captionTokens: 5 })
    expect(sequenceLength(config)).toBe(9)
    expect(specOfConfig(json)).toMatchObject({ family: 'emoji-dit', medium: 'pictures', gguf: null })
  })

  it.each([
    ['another kind of model', { model_type: 'llama' }],
    ['another activation', { hidden_act: 'gelu' }],
    ['another prediction', { prediction: 'noise' }],
    ['four channels', { channels: 4 }],
    ['patches that do not fill the picture', { patch_size: 3 }],
    ['more tokens than attention takes', { image_size: 512, patch_size: 1 }],
    ['padding that is also the beginning', { pad_token_id: 1 }],
    ['a token beyond the vocabulary', { bos_token_id: 61 }],
    ['an odd number of time features', { time_frequency_size: 17 }],
    ['heads beyond any width', { num_attention_heads: 16_384, head_dim: 16_384 }],
    ['no eps', { rms_norm_eps: 0 }],
  ])('refuses %s', (_, change) => {
    expect(() => parseDiffusionConfig({ ...json, ...change })).toThrow(FormatError)
  })

  it('refuses by name whatever else stands in a field', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(json)), fc.jsonValue(), (key, value) => {
        try {
          parseDiffusionConfig({ ...json, [key]: value })
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
    )
    for (const value of [null, [], 'x', 3]) expect(() => parseDiffusionConfig(value)).toThrow(FormatError)
  })

  it('names its layers as PEFT does, without a second `model.`', () => {
    const config = parseDiffusionConfig(json)
    const adapter = fixtures.adapter('emoji-dit-nano/lora-all')
    expect(
      diffusionModules(config)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...adapter.modules.keys()].sort())
    for (const { name, inFeatures, outFeatures } of diffusionModules(config)) {
      expect(adapter.modules.get(name)).toMatchObject({ inFeatures, outFeatures })
    }
    expect(projections(config)).toHaveLength(7 * config.layers)
  })
})

it('checks every weight before it is placed, and gives back what was', async () => {
  const engine = await createNodeEngine({ backend: 'cpu' })
  const config = parseDiffusionConfig(json)
  const { tensors } = parseSafetensors(files.get('model.safetensors')!)
  const source = (name: string) => {
    const found = tensors.get(name)
    return found && { shape: found.shape, values: toFloat32(found) }
  }
  const place = (source: StoredSource) =>
    placeAll(engine, (placer) => placingDiffusion(config, placer), source)
  const before = engine.memory()
  const asked = new Set<string>()
  const weights = place((name) => {
    asked.add(name)
    return source(name)
  })
  expect([...asked].sort()).toEqual([...tensors.keys()].sort())
  for (const tensor of weights.all) engine.free(tensor)
  for (const wrong of asked) {
    expect(() => place((name) => (name === wrong ? undefined : source(name)))).toThrow(
      expect.objectContaining({ code: 'model/missing-tensor' }),
    )
    const turned = (name: string) => {
      const found = source(name)
      return name === wrong && found ? { ...found, shape: [...found.shape, 1] } : found
    }
    expect(() => place(turned)).toThrow(expect.objectContaining({ code: 'model/wrong-shape' }))
  }
  expect(engine.memory()).toEqual(before)
  await engine.dispose()
})
