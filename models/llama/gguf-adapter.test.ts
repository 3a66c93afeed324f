/** Adapters as llama.cpp reads them: written, read back, and refused where they are for something else. */
import { describe, expect, it } from 'vitest'
import type { Adapter, LoraFactors } from '../adapters/adapter.ts'
import { wholeFile } from '../formats/byte-source.ts'
import { openGguf } from '../formats/gguf.ts'
import { type GgufEntry, type GgufOutput, ggufChunks } from '../formats/gguf-writer.ts'
import { fixtureJson, fixtures } from '../testing/fixtures.ts'
import { parseLlamaConfig } from './config.ts'
import { ggufAdapter, readGgufAdapter } from './gguf-adapter.ts'
import { unpermuteRows } from './gguf-tensors.ts'

const joined = (chunks: Iterable<Uint8Array>) => new Uint8Array(Buffer.concat([...chunks]))
const llama = parseLlamaConfig(fixtureJson('nano/config.json'))
const qwen = parseLlamaConfig(fixtureJson('architectures/qwen3/config.json'))
const adapter = fixtures.adapter('nano/lora')
const file = joined(ggufAdapter(adapter, llama, 'test'))
const Q = 'base_model.model.model.layers.0.self_attn.q_proj'

const changed = (change: Partial<LoraFactors>): Adapter => ({
  modules: new Map(adapter.modules).set(Q, { ...adapter.modules.get(Q)!, ...change }),
})

const code = (expected: string, message = /./) =>
  expect.objectContaining({ code: expected, message: expect.stringMatching(message) })

describe('a written adapter', () => {
  it("has llama.cpp's metadata, names and shapes", async () => {
    const { metadata, tensors } = await openGguf(wholeFile(file))
    expect(Object.fromEntries(metadata)).toEqual({
      'general.architecture': 'llama',
      'general.type': 'adapter',
      'general.name': 'test',
      'adapter.type': 'lora',
      'adapter.lora.alpha': 8,
    })
    expect(tensors.size).toBe(2 * 2 * 7)
    expect(tensors.get('blk.0.attn_q.weight.lora_a')).toMatchObject({ type: 'F32', shape: [4, 32] })
    expect(tensors.get('blk.1.ffn_down.weight.lora_b')).toMatchObject({ type: 'F32', shape: [32, 4] })
  })

  it("has the rows of q's and k's B in llama.cpp's order, of a Llama alone", async () => {
    const raw = async (bytes: Uint8Array, name: string) => (await openGguf(wholeFile(bytes))).readRaw(name)
    const { bytes } = await raw(file, 'blk.0.attn_k.weight.lora_b')
    const own = adapter.modules.get('base_model.model.model.layers.0.self_attn.k_proj')!.b
    const ordered = unpermuteRows(bytes, 2, 8)
    expect(new Float32Array(ordered.buffer)).toEqual(own)
    expect(bytes).not.toEqual(ordered)
    const qwenFile = joined(ggufAdapter(fixtures.adapter('architectures/qwen3'), qwen, 'q'))
    const same = await raw(qwenFile, 'blk.0.attn_k.weight.lora_b')
    const plain = fixtures
      .adapter('architectures/qwen3')
      .modules.get('base_model.model.model.layers.0.self_attn.k_proj')!.b
    expect(new Float32Array(same.bytes.slice().buffer)).toEqual(plain)
  })

  it('comes back as it was', async () => {
    expect(await readGgufAdapter(wholeFile(file), llama)).toEqual(adapter)
  })

  it('keeps the delta where alphas differ, where one is 0, and where a core stands between', async () => {
    const { a, b } = adapter.modules.get(Q)!
    const other = await readGgufAdapter(
      wholeFile(joined(ggufAdapter(changed({ alpha: 2 }), llama, 'x'))),
      llama,
    )
    expect([...other.modules.values()].every(({ alpha }) => alpha === 8)).toBe(true)
    expect(other.modules.get(Q)!.b).toEqual(b.map((value) => value / 4))
    const none = await readGgufAdapter(
      wholeFile(joined(ggufAdapter(changed({ alpha: 0 }), llama, 'x'))),
      llama,
    )
    expect(none.modules.get(Q)!.b.every((value) => value === 0)).toBe(true)
    const r = Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 2 : 0))
    const cored: Adapter = {
      modules: new Map([[Q, { ...adapter.modules.get(Q)!, r }]]),
    }
    const folded = await readGgufAdapter(wholeFile(joined(ggufAdapter(cored, llama, 'x'))), llama)
    expect(folded.modules.get(Q)!.b).toEqual(b.map((value) => 2 * value))
    expect(folded.modules.get(Q)!.a).toEqual(a)
  })

  it('needs something to say, in names that llama.cpp has', () => {
    expect(() => joined(ggufAdapter({ modules: new Map() }, llama, 'x'))).toThrow(code('gguf/empty'))
    const name = 'base_model.model.blocks.0.attn'
    const foreign = { modules: new Map([[name, { ...adapter.modules.get(Q)!, name }]]) }
    expect(() => joined(ggufAdapter(foreign, llama, 'x'))).toThrow(code('adapter/unknown-module', /PEFT/))
  })
})

describe('refused', () => {
  const metadata: Record<string, GgufEntry> = {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.type': { type: 'string', value: 'adapter' },
    'adapter.type': { type: 'string', value: 'lora' },
    'adapter.lora.alpha': { type: 'float32', value: 8 },
  }
  const tensor = (name: string, shape: number[], fill = 1): GgufOutput => ({
    name,
    type: 'F32',
    shape,
    bytes: () => new Uint8Array(new Float32Array(shape.reduce((x, y) => x * y, 1)).fill(fill).buffer),
  })
  const good = [tensor('blk.0.attn_q.weight.lora_a', [4, 32]), tensor('blk.0.attn_q.weight.lora_b', [32, 4])]

  it.each<[string, Record<string, GgufEntry>, GgufOutput[], string]>([
    ['a model', { 'general.type': { type: 'string', value: 'model' } }, good, 'gguf/no-adapter'],
    ['a control vector', { 'adapter.type': { type: 'string', value: 'cvec' } }, good, 'gguf/no-adapter'],
    [
      'another architecture',
      { 'general.architecture': { type: 'string', value: 'qwen3' } },
      good,
      'adapter/other-base',
    ],
    [
      'alpha that is no number',
      { 'adapter.lora.alpha': { type: 'bool', value: true } },
      good,
      'gguf/malformed',
    ],
    ['one factor', {}, good.slice(1), 'gguf/malformed'],
    ['ranks that differ', {}, [good[0], tensor('blk.0.attn_q.weight.lora_b', [32, 3])], 'gguf/malformed'],
    ['other heads', {}, [good[0], tensor('blk.0.attn_q.weight.lora_b', [48, 4])], 'adapter/wrong-shape'],
    ['NaN', {}, [tensor('blk.0.attn_q.weight.lora_a', [4, 32], Number.NaN), good[1]], 'gguf/malformed'],
    [
      'factors of the embedding',
      {},
      [tensor('token_embd.weight.lora_a', [4, 32])],
      'gguf/unsupported-adapter',
    ],
    ['whole norms', {}, [...good, tensor('blk.0.attn_norm.weight', [32])], 'gguf/unsupported-adapter'],
    ['nothing', {}, [], 'gguf/malformed'],
  ])('%s', async (_, change, tensors, expected) => {
    const bytes = joined(ggufChunks({ ...metadata, ...change }, tensors))
    await expect(readGgufAdapter(wholeFile(bytes), llama)).rejects.toEqual(code(expected))
  })

  it('alpha 0 is alpha = rank, as llama.cpp takes it', async () => {
    const bytes = joined(
      ggufChunks({ ...metadata, 'adapter.lora.alpha': { type: 'float32', value: 0 } }, good),
    )
    expect((await readGgufAdapter(wholeFile(bytes), llama)).modules.get(Q)!.alpha).toBe(4)
  })
})
