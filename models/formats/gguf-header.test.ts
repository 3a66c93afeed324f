import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { MoreBytesNeeded } from './gguf-cursor.ts'
import { parseGgufHeader } from './gguf-header.ts'

const folder = new URL('../fixtures/gguf/', import.meta.url)
const read = (path: string) => new Uint8Array(readFileSync(new URL(path, folder)))
const parse = (path: string) => {
  const file = read(path)
  return parseGgufHeader(file, file.length)
}
const shapes = (path: string) =>
  Object.fromEntries(parse(path).tensors.map(({ name, type, shape }) => [name, [type, ...shape]]))

describe('malformed files', () => {
  const files: { file: string; wrong: string }[] = JSON.parse(
    readFileSync(new URL('malformed/manifest.json', folder), 'utf8'),
  ).files

  it('are all listed in the manifest', () => {
    const present = readdirSync(new URL('malformed/', folder)).filter((name) => name.endsWith('.gguf'))
    expect(present.sort()).toEqual(files.map(({ file }) => file).sort())
  })

  it.each(files.map(({ file, wrong }) => [file, wrong]))('%s is refused: %s', (file) => {
    const bytes = read(`malformed/${file}`)
    const before = process.memoryUsage().arrayBuffers
    const started = performance.now()
    expect(() => parseGgufHeader(bytes, bytes.length)).toThrow(
      expect.objectContaining({ code: 'gguf/malformed', name: 'FormatError' }),
    )
    expect(performance.now() - started).toBeLessThan(1_000)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
  })
})

describe('valid files', () => {
  it('of every type', () => {
    for (const type of ['f32', 'f16', 'bf16']) {
      const upper = type.toUpperCase()
      expect(shapes(`${type}.gguf`)).toMatchObject({
        matrix: [upper, 7, 13],
        cube: [upper, 2, 3, 5],
        vector: [upper, 11],
      })
    }
    for (const type of ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0']) {
      const upper = type.toUpperCase()
      expect(shapes(`${type}.gguf`)).toEqual({
        matrix: [upper, 5, 96],
        cube: [upper, 2, 3, 64],
        vector: [upper, 160],
      })
    }
    for (const type of ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k']) {
      const upper = type.toUpperCase()
      expect(shapes(`${type}.gguf`)).toEqual({
        matrix: [upper, 5, 512],
        cube: [upper, 2, 3, 256],
        vector: [upper, 768],
      })
    }
  })

  it('have tensors that fill the file but for its padding', () => {
    for (const name of readdirSync(folder).filter((name) => name.endsWith('.gguf'))) {
      const file = read(name)
      const { tensors } = parseGgufHeader(file, file.length)
      const end = Math.max(...tensors.map(({ begin, bytes }) => begin + bytes))
      expect(file.length - end).toBeLessThan(32)
      const padded = tensors.reduce((sum, { bytes }) => sum + Math.ceil(bytes / 32) * 32, 0)
      expect(tensors[0].begin + padded).toBe(Math.ceil(file.length / 32) * 32)
    }
  })

  it('nano', () => {
    const { version, metadata, tensors } = parse('nano.gguf')
    expect(version).toBe(3)
    expect(metadata.get('general.architecture')).toBe('llama')
    expect(metadata.get('llama.attention.head_count_kv')).toBe(2)
    expect(metadata.get('tokenizer.ggml.tokens')).toHaveLength(97)
    expect(metadata.get('tokenizer.ggml.add_bos_token')).toBe(false)
    expect(tensors).toHaveLength(20)
    expect(tensors.find(({ name }) => name === 'blk.1.attn_k.weight')).toMatchObject({
      shape: [16, 32],
      bytes: 2048,
    })
  })

  it('of every kind of metadata', () => {
    const { metadata } = parse('valid/metadata-kinds.gguf')
    const t = Object.fromEntries([...metadata].filter(([key]) => key.startsWith('t.')))
    expect(t).toEqual({
      't.u8': 200,
      't.i8': -100,
      't.u16': 60_000,
      't.i16': -30_000,
      't.u32': 4_000_000_000,
      't.i32': -2_000_000_000,
      't.f32': Math.fround(0.1),
      't.yes': true,
      't.no': false,
      't.string': 'héllo 🌍\n',
      't.u64': 2n ** 63n + 1n,
      't.i64': -(2n ** 62n),
      't.f64': 0.1,
      't.array.i32': [1, -2, 3],
      't.array.string': ['a', '', 'ü'],
      't.array.bool': [true, false],
      't.array.f32': [0.5, -1.5],
    })
    expect(parse('valid/nested-arrays.gguf').metadata.get('t.array.array')).toEqual([[1, 2], [3]])
  })

  it('of other alignments, versions and dimensions', () => {
    expect(parse('valid/version-2.gguf').version).toBe(2)
    expect(shapes('valid/alignment-64.gguf')).toEqual({ x: ['F32', 3, 4], y: ['F32', 4] })
    expect(shapes('valid/alignment-8.gguf')).toEqual({ x: ['F32', 3, 3], y: ['F32', 4] })
    expect(shapes('valid/four-dimensions.gguf')).toEqual({ x: ['F32', 2, 3, 1, 2] })
    expect(shapes('valid/minimal.gguf')).toEqual({ x: ['F32', 3, 4], y: ['F32', 4] })
    expect(parse('valid/no-tensors.gguf').tensors).toEqual([])
    const { tensors } = parse('valid/alignment-64.gguf')
    for (const { begin } of tensors) expect(begin % 64).toBe(0)
  })
})

describe('a part of a file', () => {
  const file = read('nano.gguf')

  it('asks for more until the header is whole, and never refuses', () => {
    const whole = parseGgufHeader(file, file.length)
    let known = 0
    let reads = 0
    for (;;) {
      try {
        expect(parseGgufHeader(file.subarray(0, known), file.length)).toEqual(whole)
        break
      } catch (error) {
        if (!(error instanceof MoreBytesNeeded)) throw error
        expect(error.bytes).toBeGreaterThan(known)
        expect(error.bytes).toBeLessThanOrEqual(whole.tensors[0].begin)
        known = error.bytes
        reads++
      }
    }
    expect(reads).toBeGreaterThan(100)
    expect(known).toBeLessThanOrEqual(whole.tensors[0].begin)
  })
})

describe('mutated files', () => {
  it('are refused with a FormatError or read within the file', () => {
    const good = [
      'valid/metadata-kinds.gguf',
      'valid/minimal.gguf',
      'valid/alignment-64.gguf',
      'q4_0.gguf',
    ].map(read)
    const edits = fc.array(fc.tuple(fc.nat(1_000), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(fc.constantFrom(...good), edits, fc.nat(1_000), (original, list, cut) => {
        const bytes = original.slice(0, cut < 200 ? cut : original.length)
        for (const [at, value] of list) if (bytes.length > 0) bytes[at % bytes.length] = value
        try {
          for (const { begin, bytes: length } of parseGgufHeader(bytes, bytes.length).tensors) {
            expect(begin + length).toBeLessThanOrEqual(bytes.length)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
