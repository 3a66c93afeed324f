import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import type { ByteSource } from './byte-source.ts'
import { inspectFile } from './inspect.ts'
import { bytesOf, writeSafetensors } from './safetensors.ts'

const read = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/${path}`, import.meta.url)))

/** Counts what is asked for, and refuses what lies outside. */
function countingSource(file: Uint8Array): { source: ByteSource; asked: number[] } {
  const asked: number[] = []
  const source: ByteSource = {
    bytes: file.length,
    async read(offset, length) {
      if (offset + length > file.length) throw new RangeError('outside the file')
      asked.push(length)
      return file.slice(offset, offset + length)
    },
  }
  return { source, asked }
}

describe('inspectFile', () => {
  it('describes a model in safetensors and in GGUF alike', async () => {
    const safetensors = await inspectFile(read('nano/model.safetensors'))
    const gguf = await inspectFile(read('gguf/nano.gguf'))
    expect(safetensors).toMatchObject({ format: 'safetensors', bytes: 76_520, metadata: { format: 'pt' } })
    expect(gguf).toMatchObject({ format: 'gguf', version: 3, metadata: { 'general.architecture': 'llama' } })
    expect(gguf.parameters).toBe(safetensors.parameters)
    expect(gguf.tensors).toHaveLength(safetensors.tensors.length)
    expect(safetensors.tensors.find(({ name }) => name === 'model.embed_tokens.weight')).toEqual({
      name: 'model.embed_tokens.weight',
      dtype: 'F32',
      shape: [97, 32],
      bytes: 97 * 32 * 4,
    })
  })

  it('is plain JSON, long lists shortened', async () => {
    const gguf = await inspectFile(read('gguf/nano.gguf'))
    expect(JSON.parse(JSON.stringify(gguf))).toEqual(gguf)
    expect(gguf.metadata['tokenizer.ggml.tokens']).toEqual({ length: 97, first: expect.any(Array) })
    const kinds = await inspectFile(read('gguf/valid/metadata-kinds.gguf'))
    expect(kinds.metadata['t.u64']).toBe('9223372036854775809')
    expect(kinds.metadata['t.array.i32']).toEqual([1, -2, 3])
    const named = await inspectFile(read('safetensors/valid/named-proto.safetensors'))
    expect(named.tensors.map(({ name }) => name)).toEqual(['__proto__', 'constructor'])
  })

  it('reads headers only, in few pieces', async () => {
    const weights = new Float32Array(1_000_000)
    const names = Array.from({ length: 2_000 }, (_, i) => `layer.${i}.${'x'.repeat(40)}`)
    const file = writeSafetensors([
      ...names.map((name) => ({ name, dtype: 'U8' as const, shape: [1], bytes: new Uint8Array(1) })),
      { name: 'weights', dtype: 'F32', shape: [weights.length], bytes: bytesOf(weights) },
    ])
    const { source, asked } = countingSource(file)
    expect((await inspectFile(source)).parameters).toBe(1_002_000)
    expect(asked).toHaveLength(2)
    expect(asked[0] + asked[1]).toBeLessThan(400_000)
  })

  it('reads on where a GGUF header is longer than the first piece', async () => {
    // nano's header, its vocabulary replaced by one string of 300,000 bytes.
    const text = (value: string) => {
      const bytes = new TextEncoder().encode(value)
      const length = new Uint8Array(8)
      new DataView(length.buffer).setBigUint64(0, BigInt(bytes.length), true)
      return [...length, ...bytes]
    }
    const file = Uint8Array.from([
      ...new TextEncoder().encode('GGUF'),
      ...[3, 0, 0, 0],
      ...new Uint8Array(8),
      ...[1, 0, 0, 0, 0, 0, 0, 0],
      ...text('long'),
      ...[8, 0, 0, 0],
      ...text('a'.repeat(300_000)),
      ...new Uint8Array(64),
    ])
    const { source, asked } = countingSource(file)
    const { metadata, tensors } = await inspectFile(source)
    expect(metadata.long).toHaveLength(300_000)
    expect(tensors).toEqual([])
    expect(asked).toHaveLength(2)
  })

  it.each([
    ['nothing', new Uint8Array()],
    ['text', new TextEncoder().encode('Call me Ishmael. Some years ago')],
    ['a broken safetensors file', read('safetensors/malformed/offsets-gap.safetensors')],
    ['a broken GGUF file', read('gguf/malformed/kv-count-huge.gguf')],
    ['a cut GGUF file', read('gguf/nano.gguf').subarray(0, 1_000)],
  ])('refuses %s', async (_, file) => {
    await expect(inspectFile(file)).rejects.toThrow(FormatError)
  })
})
