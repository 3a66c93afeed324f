import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { largest } from '../testing/distance.ts'
import { fixtureBytes, fixtureTensors } from '../testing/fixtures.ts'
import { type ByteSource, wholeFile } from './byte-source.ts'
import { openGguf } from './gguf.ts'
import { DEQUANTISED_TYPES, dequantise } from './gguf-dequantise.ts'
import { parseSafetensors } from './safetensors.ts'

const open = (path: string) => openGguf(wholeFile(fixtureBytes(`gguf/${path}`)))

const bits = (values: Float32Array) => new Int32Array(values.buffer, values.byteOffset, values.length)

/** Where scale times code is all there is to compute; the others add a minimum, which may round once more. */
const EXACT = ['F32', 'F16', 'BF16', 'Q4_0', 'Q5_0', 'Q8_0']

describe('dequantise', () => {
  it.each(DEQUANTISED_TYPES)('%s equals the reference', async (type) => {
    const name = type.toLowerCase()
    const file = await open(`${name}.gguf`)
    const expected = fixtureTensors(`gguf/${name}.safetensors`)
    const names = [...parseSafetensors(fixtureBytes(`gguf/${name}.safetensors`)).tensors.keys()]
    expect([...file.tensors.keys()].sort()).toEqual(names.sort())
    for (const tensor of names) {
      const found = await file.read(tensor)
      expect(file.tensors.get(tensor)!.type).toBe(type)
      expect(found.length).toBe(expected(tensor).length)
      if (EXACT.includes(type)) expect(bits(found)).toEqual(bits(expected(tensor)))
      else {
        const allowed = 1e-6 * largest(expected(tensor))
        found.forEach((value, i) => {
          expect(Math.abs(value - expected(tensor)[i])).toBeLessThanOrEqual(allowed)
        })
      }
    }
  })

  it('takes views that begin at any byte', async () => {
    const { type, bytes } = await (await open('q6_k.gguf')).readRaw('matrix')
    const shifted = new Uint8Array(bytes.length + 3)
    shifted.set(bytes, 3)
    expect(dequantise(type, shifted.subarray(3))).toEqual(dequantise(type, bytes))
    const half = await (await open('f16.gguf')).readRaw('matrix')
    const odd = new Uint8Array(half.bytes.length + 1)
    odd.set(half.bytes, 1)
    expect(dequantise('F16', odd.subarray(1))).toEqual(dequantise('F16', half.bytes))
  })

  it('names the types it takes when asked for another', () => {
    expect(() => dequantise('IQ2_XS', new Uint8Array(74))).toThrow(
      expect.objectContaining({ code: 'gguf/type', message: expect.stringMatching(/IQ2_XS.*Q4_K/) }),
    )
    expect(() => dequantise('Q4_0', new Uint8Array(17))).toThrow(RangeError)
  })
})

describe('openGguf', () => {
  it('reads odd but valid files', async () => {
    const expected = fixtureTensors('gguf/valid/expected.safetensors')
    const keys = [...parseSafetensors(fixtureBytes('gguf/valid/expected.safetensors')).tensors.keys()]
    expect(keys.length).toBeGreaterThan(5)
    for (const key of keys) {
      const [file, tensor] = key.split('/')
      const found = await (await open(`valid/${file.replace(/\.gguf$/, '')}.gguf`)).read(tensor)
      expect(bits(found), key).toEqual(bits(expected(key)))
    }
  })

  it('reads a tensor at a time and never outside the file', async () => {
    const bytes = fixtureBytes('gguf/nano.gguf')
    const asked: number[] = []
    const source: ByteSource = {
      bytes: bytes.length,
      async read(offset, length) {
        expect(offset + length).toBeLessThanOrEqual(bytes.length)
        asked.push(length)
        return bytes.slice(offset, offset + length)
      },
    }
    const file = await openGguf(source)
    asked.length = 0
    for (const [name, tensor] of file.tensors) {
      const values = await file.read(name)
      expect(values.length).toBe(tensor.shape.reduce((product, size) => product * size, 1))
    }
    expect(asked).toEqual([...file.tensors.values()].map((tensor) => tensor.bytes))
  })

  it('refuses an unknown tensor and a file that shrinks', async () => {
    const file = await open('nano.gguf')
    await expect(file.read('nothing')).rejects.toMatchObject({ code: 'gguf/no-tensor' })
    const bytes = fixtureBytes('gguf/nano.gguf')
    let left = bytes.length
    const shrinking = await openGguf({
      bytes: bytes.length,
      read: async (offset, length) => bytes.subarray(0, left).subarray(offset, offset + length),
    })
    left = 10_000
    await expect(shrinking.read('output_norm.weight')).rejects.toMatchObject({ code: 'file/changed' })
    await expect(
      openGguf({ bytes: bytes.length, read: async () => bytes.subarray(0, 100) }),
    ).rejects.toMatchObject({ code: 'file/changed' })
  })
})

describe('mutated files', () => {
  const good = [
    'nano-mixed.gguf',
    'nano-untied.gguf',
    'q4_0.gguf',
    'q3_k.gguf',
    'valid/metadata-kinds.gguf',
  ].map((path) => fixtureBytes(`gguf/${path}`))
  const words = (value: number) => new Uint8Array(Uint32Array.of(value).buffer)
  /** A field of 1, 4 or 8 bytes overwritten: lengths, counts, offsets, types and dimensions all have these sizes. */
  const field = fc.oneof(
    fc.nat(255).map((value) => Uint8Array.of(value)),
    fc.constantFrom(0, 1, 2, 0x7f, 0xff, 0xffff_ffff, 0x7fff_ffff).map(words),
    fc
      .constantFrom(0n, 1n, 1n << 31n, 1n << 32n, 1n << 53n, 1n << 60n, (1n << 63n) - 1n, (1n << 64n) - 1n)
      .map((value) => new Uint8Array(BigUint64Array.of(value).buffer)),
  )
  const edits = fc.array(fc.tuple(fc.nat(), field), { minLength: 1, maxLength: 4 })

  it('are refused with a FormatError or read whole, within what the file can hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...good), edits, fc.nat(3_000), async (original, list, cut) => {
        const bytes = original.slice(0, cut < 500 ? (cut * original.length) / 500 : original.length)
        // Most bytes are weights, which may be anything: aim at the header.
        const aimed = Math.max(1, Math.min(bytes.length, 6_000))
        for (const [at, value] of list) bytes.set(value.subarray(0, bytes.length - (at % aimed)), at % aimed)
        try {
          const file = await openGguf(wholeFile(bytes))
          for (const [name, { shape }] of file.tensors) {
            const values = await file.read(name)
            expect(values.length).toBe(shape.reduce((product, size) => product * size, 1))
            // Q2_K packs a weight into the fewest bytes: a third of one.
            expect(values.length).toBeLessThan(4 * bytes.length)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
      { numRuns: 1_500 },
    )
  })

  it('of every malformed kind are refused', async () => {
    const { files } = JSON.parse(
      readFileSync(new URL('../fixtures/gguf/malformed/manifest.json', import.meta.url), 'utf8'),
    )
    for (const { file } of files) {
      await expect(open(`malformed/${file}`), file).rejects.toMatchObject({ code: 'gguf/malformed' })
    }
    expect(files.length).toBeGreaterThan(30)
  })
})
