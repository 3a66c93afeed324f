import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import {
  bytesOf,
  isSafetensorsDType,
  parseSafetensors,
  type SafetensorsInput,
  safetensorsBytes,
  tensorBytes,
  toFloat32,
  writeSafetensors,
} from './safetensors.ts'

const folder = new URL('../fixtures/safetensors/', import.meta.url)
const read = (path: string) => new Uint8Array(readFileSync(new URL(path, folder)))
const manifest = (path: string) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'))

describe('malformed files', () => {
  const files: { file: string; wrong: string }[] = manifest('malformed/manifest.json').files

  it('are all listed in the manifest', () => {
    const present = readdirSync(new URL('malformed/', folder)).filter((name) => name !== 'manifest.json')
    expect(present.sort()).toEqual(files.map(({ file }) => file).sort())
    expect(files.length).toBeGreaterThan(40)
  })

  it.each(files.map(({ file, wrong }) => [file, wrong]))('%s is refused: %s', (file) => {
    const bytes = read(`malformed/${file}`)
    const started = performance.now()
    let error: unknown
    try {
      parseSafetensors(bytes)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(FormatError)
    expect((error as FormatError).code).toBe('safetensors/malformed')
    expect((error as FormatError).message.length).toBeLessThan(400)
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  it('are refused without allocating what they claim', () => {
    // 24 MB of header claimed by a file of 100 bytes, and 2^52 bytes of tensor by one of 200.
    const short = new Uint8Array(100)
    new DataView(short.buffer).setBigUint64(0, 24_000_000n, true)
    const huge = new TextEncoder().encode(
      `        {"x":{"dtype":"U8","shape":[${2 ** 52}],"data_offsets":[0,${2 ** 52}]}}`,
    )
    new DataView(huge.buffer).setBigUint64(0, BigInt(huge.length - 8), true)
    const before = process.memoryUsage().arrayBuffers
    expect(() => parseSafetensors(short)).toThrow(/claims a header of 24000000 bytes/)
    expect(() => parseSafetensors(huge)).toThrow(/there are only 0/)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
  })
})

describe('odd but valid files', () => {
  const { x, y, files } = manifest('valid/manifest.json')
  const tensorsOf = (name: string) => parseSafetensors(read(`valid/${name}.safetensors`))
  const floats = (name: string, tensor: string) => Array.from(toFloat32(tensorsOf(name).tensors.get(tensor)!))

  it('cover the manifest', () => {
    for (const name of Object.keys(files)) expect(() => tensorsOf(name)).not.toThrow()
  })

  it('no tensors, and metadata alone', () => {
    expect(tensorsOf('no-tensors').tensors.size).toBe(0)
    expect(tensorsOf('only-metadata').metadata).toEqual(new Map([['k', 'v']]))
  })

  it.each(['space-padding', 'listed-out-of-order', 'unaligned', 'unicode-names', 'named-proto'])(
    '%s gives x and y',
    (name) => {
      const known: Record<string, unknown> = { x: x.flat(), y }
      // Object.entries: the manifest has a member named __proto__.
      for (const [tensor, value] of Object.entries(files[name])) {
        expect(floats(name, tensor)).toEqual(typeof value === 'string' ? known[value] : value)
      }
      expect(tensorsOf(name).tensors.size).toBe(Object.keys(files[name]).length)
    },
  )

  it('keeps shapes', () => {
    const { tensors } = tensorsOf('listed-out-of-order')
    expect(tensors.get('x')!.shape).toEqual([3, 4])
    expect([...tensors.keys()]).toEqual(['x', 'y'])
    const scalar = tensorsOf('scalar-and-empty').tensors
    expect(scalar.get('scalar')!.shape).toEqual([])
    expect(floats('scalar-and-empty', 'scalar')).toEqual([files['scalar-and-empty'].scalar])
    expect(scalar.get('empty')!.shape).toEqual([0, 3])
    expect(floats('scalar-and-empty', 'empty')).toEqual([])
  })

  it('reads every dtype', () => {
    for (const [name, values] of Object.entries<unknown[]>(files['every-dtype'])) {
      const expected = values.map((value) => Math.fround(Number(value)))
      expect([name, floats('every-dtype', name)]).toEqual([name, expected])
    }
    const { tensors } = tensorsOf('every-dtype')
    const i64 = new Uint8Array(tensors.get('i64')!.bytes)
    expect(Array.from(new BigInt64Array(i64.buffer), String)).toEqual(files['every-dtype'].i64)
  })

  it('gives copies of floats and views of bytes', () => {
    const file = read('valid/space-padding.safetensors')
    const tensor = parseSafetensors(file).tensors.get('x')!
    toFloat32(tensor).fill(0)
    expect(Array.from(toFloat32(tensor))).toEqual(x.flat())
    expect(tensor.bytes.buffer).toBe(file.buffer)
  })

  it("does not overwrite a Node Buffer's neighbours", () => {
    const pool = Buffer.alloc(400, 7)
    const file = read('valid/space-padding.safetensors')
    pool.set(file, 3)
    const tensor = parseSafetensors(pool.subarray(3, 3 + file.length)).tensors.get('x')!
    expect(Array.from(toFloat32(tensor))).toEqual(x.flat())
  })
})

describe('writeSafetensors', () => {
  const dtype = fc.constantFrom('F32', 'I8', 'F16', 'U8', 'F64', 'BOOL') as fc.Arbitrary<'F32' | 'I8'>
  const shape = fc.array(fc.nat(4), { maxLength: 3 })
  const tensor = fc
    .record({ name: fc.string({ unit: 'binary' }), dtype, shape })
    .filter(({ name }) => name !== '__metadata__')
    .chain((entry) => {
      const bytes = tensorBytes(entry.dtype, entry.shape)
      return fc
        .uint8Array({ minLength: bytes, maxLength: bytes })
        .map((bytes): SafetensorsInput => ({ ...entry, bytes }))
    })
  const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 })
  const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 })

  it('is read back, whatever the tensors', () => {
    fc.assert(
      fc.property(tensors, metadata, (list, meta) => {
        const file = writeSafetensors(list, meta)
        expect(file.length).toBe(safetensorsBytes(list, meta))
        const read = parseSafetensors(file)
        expect(read.metadata).toEqual(new Map(Object.entries(meta)))
        expect(read.tensors.size).toBe(list.length)
        for (const { name, dtype, shape, bytes } of list) {
          const back = read.tensors.get(name)!
          expect(back.dtype).toBe(dtype)
          expect(back.shape).toEqual(shape)
          expect(Array.from(back.bytes)).toEqual(Array.from(bytes))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('writes the same bytes again, data at a multiple of 8', () => {
    const list: SafetensorsInput[] = [
      { name: 'scale', dtype: 'F32', shape: [2], bytes: bytesOf(Float32Array.of(1, 2)) },
      { name: 'code', dtype: 'I8', shape: [3], bytes: bytesOf(Int8Array.of(1, -2, 3)) },
    ]
    const file = writeSafetensors(list, { format: 'pt' })
    expect(file).toEqual(writeSafetensors(list, { format: 'pt' }))
    expect(Number(new DataView(file.buffer).getBigUint64(0, true)) % 8).toBe(0)
  })

  it('refuses wrong lengths and names used twice', () => {
    const good: SafetensorsInput = { name: 'x', dtype: 'F32', shape: [1], bytes: new Uint8Array(4) }
    expect(() => writeSafetensors([{ ...good, bytes: new Uint8Array(5) }])).toThrow(RangeError)
    expect(() => writeSafetensors([good, good])).toThrow(RangeError)
    expect(() => writeSafetensors([{ ...good, name: '__metadata__' }])).toThrow(RangeError)
  })
})

describe('mutated files', () => {
  const good = ['listed-out-of-order', 'every-dtype', 'named-proto', 'scalar-and-empty'].map((name) =>
    read(`valid/${name}.safetensors`),
  )
  const mutation = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(), value: fc.nat(255) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.nat(40) }),
    fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), value: fc.nat(255) }),
  )

  it('are refused with a FormatError or read within the file', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...good),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (file, mutations) => {
          let bytes = [...file]
          for (const { kind, at, value } of mutations) {
            const position = at % (bytes.length + 1)
            if (kind === 'set') bytes[Math.min(position, bytes.length - 1)] = value
            else if (kind === 'cut') bytes = [...bytes.slice(0, position), ...bytes.slice(position + value)]
            else bytes.splice(position, 0, value)
          }
          try {
            const { tensors } = parseSafetensors(Uint8Array.from(bytes))
            let total = 0
            for (const tensor of tensors.values()) {
              expect(isSafetensorsDType(tensor.dtype)).toBe(true)
              expect(tensor.bytes.length).toBe(tensorBytes(tensor.dtype, tensor.shape))
              total += tensor.bytes.length
            }
            expect(total).toBeLessThanOrEqual(bytes.length)
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError)
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('random bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => parseSafetensors(bytes)).toThrow(FormatError)
      }),
    )
  })
})
