/** Every way a model comes in gives the same model: a folder, its parts, a GGUF file, in memory or read piecewise. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../backend/engine.ts'
import { createNodeEngine } from '../backend/node.ts'
import { FormatError } from '../errors.ts'
import { type ByteSource, wholeFile } from '../formats/byte-source.ts'
import { parseSafetensors, writeSafetensors } from '../formats/safetensors.ts'
import { expectWithin } from '../testing/close.ts'
import { fixtureBytes, fixtureTensors, modelFiles } from '../testing/fixtures.ts'
import { type LoadedLlama, loadLlama, states, streamLlama } from '../testing/llama.ts'
import type { LoadProgress } from './load.ts'
import { type ModelFiles, readModelSpec } from './model-files.ts'

const LOGITS = 1e-4

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const sources = (files: ModelFiles) => new Map([...files].map(([name, bytes]) => [name, wholeFile(bytes)]))

/** The folder with its weights cut into three files and an index, in no order. */
function sharded(files: ModelFiles): Map<string, Uint8Array> {
  const { tensors } = parseSafetensors(files.get('model.safetensors')!)
  const parts = new Map<
    string,
    { name: string; dtype: 'F32'; shape: readonly number[]; bytes: Uint8Array }[]
  >()
  const map: Record<string, string> = {}
  ;[...tensors].forEach(([name, { shape, bytes }], i) => {
    const file = `model-0000${(i % 3) + 1}-of-00003.safetensors`
    map[name] = file
    parts.set(file, [...(parts.get(file) ?? []), { name, dtype: 'F32', shape, bytes }])
  })
  const cut = new Map(files)
  cut.delete('model.safetensors')
  for (const [file, list] of parts) cut.set(file, writeSafetensors(list))
  return cut.set('model.safetensors.index.json', text({ metadata: { total_size: 1 }, weight_map: map }))
}

describe('loading', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = await createNodeEngine({ backend: 'cpu' })
  })
  afterAll(() => engine.dispose())

  async function expectModel({ model, dispose }: LoadedLlama, folder: 'nano' | 'nano-untied') {
    const forward = fixtureTensors(`${folder}/forward.safetensors`)
    const { logits } = await states(model, forward('input_ids'), { batch: 2, tokens: 17 }, null)
    expectWithin(logits, forward('logits'), LOGITS, 'logits')
    dispose()
  }

  describe.each(['nano', 'nano-untied'] as const)('%s', (folder) => {
    const gguf = fixtureBytes(`gguf/${folder}.gguf`)

    it('from a GGUF file in memory, all of it given back', async () => {
      const memory = engine.memory()
      loadLlama(engine, new Map([[`${folder}.gguf`, gguf]])).dispose()
      expect(engine.memory()).toEqual(memory)
      await expectModel(loadLlama(engine, new Map([[`${folder}.gguf`, gguf]])), folder)
    })

    it('from a GGUF file elsewhere, a tensor at a time', async () => {
      const asked: number[] = []
      const source: ByteSource = {
        bytes: gguf.length,
        async read(offset, length) {
          asked.push(length)
          return gguf.slice(offset, offset + length)
        },
      }
      const progress: LoadProgress[] = []
      const loaded = await streamLlama(engine, source, (at) => progress.push(at))
      const tensors = loaded.model.weights.all.length - 1 // the rotary table is computed
      expect(progress).toHaveLength(tensors)
      expect(progress.at(-1)!.bytes).toBe(progress[0].totalBytes)
      expect(asked.slice(-tensors).reduce((sum, length) => sum + length, 0)).toBe(progress[0].totalBytes)
      await expectModel(loaded, folder)
    })

    it('from a folder elsewhere', async () => {
      await expectModel(await streamLlama(engine, sources(modelFiles(folder))), folder)
    })

    it('from a folder of several weight files', async () => {
      await expectModel(loadLlama(engine, sharded(modelFiles(folder))), folder)
      await expectModel(await streamLlama(engine, sources(sharded(modelFiles(folder)))), folder)
    })
  })

  it('says the same of a GGUF file as of the folder it was made from', async () => {
    const folder = loadLlama(engine, modelFiles('nano'))
    const gguf = loadLlama(engine, new Map([['nano.GGUF', fixtureBytes('gguf/nano.gguf')]]))
    expect(gguf.model.modules).toEqual(folder.model.modules)
    expect(gguf.tokenizer.encode('the sea is here')).toEqual(folder.tokenizer.encode('the sea is here'))
    expect(await readModelSpec(sources(modelFiles('nano')))).toMatchObject({
      family: 'llama',
      modules: folder.model.modules,
    })
    const file = wholeFile(fixtureBytes('gguf/nano.gguf'))
    expect((await readModelSpec(new Map([['nano.gguf', file]]))).modules).toEqual(gguf.model.modules)
    folder.dispose()
    gguf.dispose()
  })

  describe('what cannot be loaded', () => {
    const folder = modelFiles('nano')
    const gguf = fixtureBytes('gguf/nano.gguf')
    const cut = sharded(folder)
    const index = (weight_map: unknown) =>
      new Map(cut).set('model.safetensors.index.json', text({ weight_map }))
    const map = JSON.parse(new TextDecoder().decode(cut.get('model.safetensors.index.json'))).weight_map
    const without = (name: string, files: ModelFiles = folder) =>
      new Map([...files].filter(([key]) => key !== name))

    it.each<[string, ModelFiles, string, RegExp]>([
      ['nothing', new Map(), 'model/missing-file', /model\.safetensors/],
      ['no configuration', without('config.json'), 'model/missing-file', /lacks config\.json/],
      ['no tokenizer', without('tokenizer.json'), 'model/missing-file', /lacks tokenizer\.json/],
      ['no weights', without('model.safetensors'), 'model/missing-file', /lacks model\.safetensors/],
      [
        'a configuration cut short',
        new Map(folder).set('config.json', text({}).slice(1)),
        'model/bad-json',
        /config/,
      ],
      [
        'two GGUF files',
        new Map([
          ['a.gguf', gguf],
          ['b.gguf', gguf],
        ]),
        'model/several-gguf',
        /a\.gguf, b\.gguf/,
      ],
      [
        'a GGUF file cut short',
        new Map([['a.gguf', gguf.slice(0, 50_000)]]),
        'gguf/malformed',
        /past the end/,
      ],
      [
        'a part that is missing',
        without('model-00002-of-00003.safetensors', cut),
        'model/missing-file',
        /00002/,
      ],
      [
        'an index of another folder',
        index({ ...map, x: '../x.safetensors' }),
        'model/bad-index',
        /same folder/,
      ],
      ['an index to something else', index({ ...map, x: 'config.json' }), 'model/bad-index', /same folder/],
      ['an index of numbers', index({ x: 1 }), 'model/bad-index', /"x"/],
      ['an empty index', index({}), 'model/bad-index', /no tensor/],
      ['no index at all', index(undefined), 'model/bad-index', /weight_map/],
      [
        'a tensor not in its part',
        index({ ...map, x: 'model-00001-of-00003.safetensors' }),
        'model/bad-index',
        /"x"/,
      ],
      [
        'a tensor in no part',
        index(Object.fromEntries(Object.entries(map).slice(1))),
        'model/missing-tensor',
        /lacks model\./,
      ],
    ])('%s', async (_, files, code, message) => {
      const memory = engine.memory()
      const refused = expect.objectContaining({ code, message: expect.stringMatching(message) })
      expect(() => loadLlama(engine, files)).toThrow(refused)
      await expect(streamLlama(engine, sources(files))).rejects.toEqual(refused)
      expect(engine.memory()).toEqual(memory)
    })

    it('an index that is no JSON, or names a tensor twice', () => {
      const files = new Map(cut)
      for (const json of ['{', '{"weight_map":{"x":"a.safetensors","x":"b.safetensors"}}']) {
        files.set('model.safetensors.index.json', new TextEncoder().encode(json))
        expect(() => loadLlama(engine, files)).toThrow(expect.objectContaining({ code: 'model/bad-index' }))
      }
    })

    it('a small file that is huge, and a source that fails midway', async () => {
      const huge = new Map(sources(folder)).set('config.json', {
        bytes: 2 ** 40,
        read: () => Promise.reject(),
      })
      await expect(streamLlama(engine, huge)).rejects.toMatchObject({ code: 'model/bad-json' })
      const memory = engine.memory()
      let reads = 0
      const failing: ByteSource = {
        bytes: gguf.length,
        async read(offset, length) {
          if (++reads > 10) throw new Error('the network is gone')
          return gguf.subarray(offset, offset + length)
        },
      }
      await expect(streamLlama(engine, failing)).rejects.toThrow('the network is gone')
      expect(engine.memory()).toEqual(memory)
    })

    it('more positions than there can be', () => {
      const config = JSON.parse(new TextDecoder().decode(folder.get('config.json')))
      const files = new Map(folder).set('config.json', text({ ...config, max_position_embeddings: 2 ** 24 }))
      expect(() => loadLlama(engine, files)).toThrow(FormatError)
      expect(() => loadLlama(engine, files)).toThrow(expect.objectContaining({ code: 'model/too-long' }))
    })
  })
})
