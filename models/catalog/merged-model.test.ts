/** A model with its adapter merged in says what base and adapter said, read back by the project's own readers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Adapter } from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import { createNodeEngine } from '../backend/node.ts'
import { wholeFile } from '../formats/byte-source.ts'
import { parseSafetensors } from '../formats/safetensors.ts'
import { expectWithin } from '../testing/close.ts'
import { furthest } from '../testing/distance.ts'
import { fixtureBytes, fixtures, fixtureTensors, modelFiles } from '../testing/fixtures.ts'
import { loadLlama, states } from '../testing/llama.ts'
import { placeAdapter } from '../training/engine-adapter.ts'
import { type MergedType, mergedModel } from './merged-model.ts'
import type { ModelFiles } from './model-files.ts'

const sources = (files: ModelFiles) => new Map([...files].map(([name, bytes]) => [name, wholeFile(bytes)]))

async function written(files: ModelFiles, adapter: Adapter | null, type: MergedType) {
  const found = new Map<string, Uint8Array>()
  for (const { name, bytes, chunks } of await mergedModel(sources(files), adapter, type)) {
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(chunk)
    const whole = new Uint8Array(Buffer.concat(parts))
    expect(whole.length, name).toBe(bytes)
    found.set(name, whole)
  }
  return found
}

const architecture = (name: string) =>
  new Map([
    ['config.json', fixtureBytes(`architectures/${name}/config.json`)],
    ['model.safetensors', fixtureBytes(`architectures/${name}/model.safetensors`)],
    ['tokenizer.json', fixtureBytes('nano/tokenizer.json')],
  ])

const BASES: Record<string, { files: ModelFiles; adapter: Adapter }> = {
  'nano, a folder': { files: modelFiles('nano'), adapter: fixtures.adapter('nano/lora') },
  'nano, a GGUF file': {
    files: new Map([['nano.gguf', fixtureBytes('gguf/nano.gguf')]]),
    adapter: fixtures.adapter('nano/lora'),
  },
  'nano-untied, a GGUF file': {
    files: new Map([['x.gguf', fixtureBytes('gguf/nano-untied.gguf')]]),
    adapter: fixtures.adapter('nano-untied/lora'),
  },
  ...Object.fromEntries(
    ['llama3', 'qwen2', 'qwen3'].flatMap((name) => {
      const adapter = fixtures.adapter(`architectures/${name}`)
      const gguf = new Map([['model.gguf', fixtureBytes(`architectures/${name}/model.gguf`)]])
      return [
        [`${name}, a folder`, { files: architecture(name), adapter }],
        [`${name}, a GGUF file`, { files: gguf, adapter }],
      ]
    }),
  ),
}

describe('a merged model', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = await createNodeEngine({ backend: 'cpu' })
  })
  afterAll(() => engine.dispose())

  const ids = fixtureTensors('nano/forward.safetensors')('input_ids')
  const shape = { batch: 2, tokens: 17 }

  async function logitsOf(files: ModelFiles, adapter: Adapter | null) {
    const { model, dispose } = loadLlama(engine, files)
    const placed = adapter && placeAdapter(engine, adapter)
    const { logits } = await states(model, ids, shape, placed)
    placed?.parameters.dispose()
    dispose()
    return logits
  }

  describe.each(Object.entries(BASES))('%s', (_, { files, adapter }) => {
    it('has the logits of base and adapter', async () => {
      const expected = await logitsOf(files, adapter)
      expectWithin(await logitsOf(await written(files, adapter, 'f32'), null), expected, 2e-4, 'f32')
    })
  })

  it('is what PEFT merges', async () => {
    const { tensors } = parseSafetensors(
      (await written(modelFiles('nano'), BASES['nano, a folder'].adapter, 'f32')).get('model.safetensors')!,
    )
    const expected = fixtureTensors('nano/merged.safetensors')
    for (const [name, { bytes }] of tensors) {
      expectWithin(new Float32Array(bytes.slice().buffer), expected(name), 1e-6, name)
    }
    expect([...tensors.keys()].sort()).toEqual(
      [...parseSafetensors(fixtureBytes('nano/merged.safetensors')).tensors.keys()].sort(),
    )
  })

  it.each(['f16', 'bf16'] as const)('in %s is half as large and nearly the same', async (type) => {
    const { files, adapter } = BASES['nano, a folder']
    const found = await written(files, adapter, type)
    const whole = await written(files, adapter, 'f32')
    const [half, full] = [found, whole].map((some) => some.get('model.safetensors')!.length)
    expect(half / full).toBeLessThan(0.55)
    const config = JSON.parse(new TextDecoder().decode(found.get('config.json')))
    expect(config.torch_dtype).toBe(type === 'f16' ? 'float16' : 'bfloat16')
    const error = furthest(await logitsOf(found, null), await logitsOf(whole, null))
    expect(error).toBeGreaterThan(0)
    // The weights' rounding, 2^-11 and 2^-9 of each, through two layers.
    expect(error).toBeLessThan(type === 'f16' ? 0.05 : 0.4)
  })

  it('keeps the tokenizer: as it is from a folder, from the metadata of a GGUF file', async () => {
    const folder = modelFiles('nano')
    const kept = await written(folder, null, 'f32')
    expect(kept.get('tokenizer.json')).toEqual(folder.get('tokenizer.json'))
    const made = await written(BASES['nano, a GGUF file'].files, null, 'f32')
    const [one, other] = [kept, made].map((files) => {
      const { tokenizer, dispose } = loadLlama(engine, files)
      dispose()
      return tokenizer
    })
    for (const text of ['hello, the sea is 42!', '<|im_start|>user\nhe<|im_end|>']) {
      expect(other.encode(text)).toEqual(one.encode(text))
    }
    expect([other.eosId, other.bosId, other.addBos]).toEqual([one.eosId, one.bosId, one.addBos])
  })

  it('refuses an adapter of another base, and numbers beyond float16', async () => {
    const { files } = BASES['nano, a folder']
    const other = fixtures.adapter('nano-untied/lora')
    await expect(mergedModel(sources(files), other, 'f32')).rejects.toMatchObject({
      code: 'adapter/wrong-shape',
    })
    const adapter = BASES['nano, a folder'].adapter
    const huge: Adapter = {
      modules: new Map([...adapter.modules].map(([name, one]) => [name, { ...one, alpha: 1e7 }])),
    }
    await expect(written(files, huge, 'f16')).rejects.toMatchObject({ code: 'export/overflow' })
    await expect(written(files, huge, 'bf16')).resolves.toBeDefined()
  })
})
