import fs from 'node:fs'
import { unzipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { initialAdapter } from '../../models/adapters/initial.ts'
import { readModelSpec } from '../../models/catalog/model-files.ts'
import { wholeFile } from '../../models/formats/byte-source.ts'
import { readPeftAdapter } from '../../models/formats/peft.ts'
import { readSafetensorsHeader } from '../../models/formats/safetensors.ts'
import { exportAdapter } from './exports.ts'

const NAMES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
const baseFiles = new Map(
  NAMES.map((name) => [
    name,
    new Uint8Array(fs.readFileSync(new URL(`../../models/catalog/tiny/${name}`, import.meta.url))),
  ]),
)
const sources = new Map(Array.from(baseFiles, ([name, bytes]) => [name, wholeFile(bytes)]))

async function exported(format: 'peft' | 'gguf' | 'merged') {
  const spec = await readModelSpec(sources)
  const modules = spec.modules.slice(0, 2)
  const adapter = initialAdapter({ rank: 2, alpha: 4, modules, form: 'lora' }, 'seed')
  for (const factors of adapter.modules.values()) factors.b.fill(0.5)
  const input = { adapter, format, baseModel: 'tiny', name: 'mine', spec, baseFiles: async () => baseFiles }
  const blob = await exportAdapter(input)
  return { adapter, spec, bytes: new Uint8Array(await blob.arrayBuffer()) }
}

describe('downloads', () => {
  it('hold the adapter as PEFT reads it, the same bytes each time', async () => {
    const { adapter, bytes } = await exported('peft')
    const files = unzipSync(bytes)
    const read = readPeftAdapter(files['adapter_config.json'], files['adapter_model.safetensors'])
    expect([...read.modules.keys()].sort()).toEqual([...adapter.modules.keys()].sort())
    for (const [name, factors] of adapter.modules) expect(read.modules.get(name)?.a).toEqual(factors.a)
    expect((await exported('peft')).bytes).toEqual(bytes)
  })

  it('hold it as llama.cpp reads it', async () => {
    const { adapter, spec, bytes } = await exported('gguf')
    const read = await spec.gguf!.readAdapter(wholeFile(bytes))
    for (const [name, factors] of adapter.modules) expect(read.modules.get(name)?.b).toEqual(factors.b)
  })

  it('hold the whole model with the adapter in it', async () => {
    const { bytes } = await exported('merged')
    const files = unzipSync(bytes)
    expect(Object.keys(files).sort()).toEqual(expect.arrayContaining(NAMES))
    const header = await readSafetensorsHeader(wholeFile(files['model.safetensors']))
    expect(header.entries.length).toBeGreaterThan(10)
  })
})
