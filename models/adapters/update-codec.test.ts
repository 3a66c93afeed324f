import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { bytesOf, parseSafetensors, type SafetensorsInput, writeSafetensors } from '../formats/safetensors.ts'
import type { Adapter, AdapterShape } from './adapter.ts'
import { initialAdapter } from './initial.ts'
import { RandomStream } from './random.ts'
import {
  adapterChange,
  applyChange,
  decodeUpdate,
  encodeUpdate,
  UPDATE_ENCODINGS,
  UpdateError,
  type UpdateInput,
  updateBytes,
} from './update-codec.ts'

const shape: AdapterShape = {
  rank: 3,
  alpha: 6,
  modules: [
    { name: 'base_model.model.m0', inFeatures: 50, outFeatures: 7 },
    { name: 'base_model.model.m1', inFeatures: 11, outFeatures: 64 },
  ],
}
const manifestDigest = 'ab'.repeat(32)

const specs: [string, number][] = [
  ['base_model.model.m0.lora_A.weight', 150],
  ['base_model.model.m0.lora_B.weight', 21],
  ['base_model.model.m1.lora_A.weight', 33],
  ['base_model.model.m1.lora_B.weight', 192],
]

function randomChange(scale = 0.01): Map<string, Float32Array> {
  const random = new RandomStream('change', 'test')
  return new Map(
    specs.map(([name, length]) => [
      name,
      Float32Array.from({ length }, () => (random.nextFloat() - 0.5) * scale),
    ]),
  )
}

const input = (over: Partial<UpdateInput> = {}): UpdateInput => ({
  change: randomChange(),
  shape,
  manifestDigest,
  examples: 17,
  encoding: 'i8',
  seed: 'client',
  ...over,
})

const code = (expected: string) => expect.objectContaining({ code: expected, name: 'UpdateError' })

describe('encodeUpdate and decodeUpdate', () => {
  it.each(UPDATE_ENCODINGS)('%s comes back with its bookkeeping', (encoding) => {
    const update = decodeUpdate(encodeUpdate(input({ encoding })), { shape, manifestDigest })
    expect(update).toMatchObject({ examples: 17, manifestDigest, encoding })
    expect([...update.change].map(([name, values]) => [name, values.length])).toEqual(specs)
  })

  it('f32 is exact, f16 within half a step, i8 within one', () => {
    const change = randomChange()
    const decoded = (encoding: UpdateInput['encoding']) =>
      decodeUpdate(encodeUpdate(input({ change, encoding })), { shape }).change
    expect(decoded('f32')).toEqual(change)
    const f16 = decoded('f16')
    const i8 = decoded('i8')
    for (const [name, values] of change) {
      values.forEach((value, i) => {
        expect(Math.abs(f16.get(name)![i] - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -11 + 2 ** -25)
        const block = values.subarray(Math.floor(i / 64) * 64, Math.floor(i / 64) * 64 + 64)
        const step = block.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0) / 127
        expect(Math.abs(i8.get(name)![i] - value)).toBeLessThan(step * 1.0001)
      })
    }
  })

  it('i8 rounds without bias', () => {
    const change = randomChange()
    const runs = 400
    const sums = new Float64Array(150)
    for (let run = 0; run < runs; run++) {
      const update = decodeUpdate(encodeUpdate(input({ change, seed: `client ${run}` })), { shape })
      update.change.get(specs[0][0])!.forEach((value, i) => {
        sums[i] += value
      })
    }
    const original = change.get(specs[0][0])!
    // The rounding of one entry has a standard deviation of at most half a step of 0.005 / 127.
    const deviation = (0.005 / 127 / 2 / Math.sqrt(runs)) * 5
    sums.forEach((sum, i) => {
      expect(Math.abs(sum / runs - original[i])).toBeLessThan(deviation)
    })
  })

  it('gives the same bytes for the same seed, other codes for another', () => {
    expect(encodeUpdate(input())).toEqual(encodeUpdate(input()))
    expect(encodeUpdate(input())).not.toEqual(encodeUpdate(input({ seed: 'another' })))
  })

  it('holds an outlier, zeros and the smallest numbers', () => {
    const change = new Map(specs.map(([name, length]) => [name, new Float32Array(length)]))
    const values = change.get(specs[0][0])!
    values[3] = -3e38
    values[64] = 2 ** -149
    const decoded = decodeUpdate(encodeUpdate(input({ change })), { shape }).change
    expect(decoded.get(specs[0][0])![3] / -3e38).toBeCloseTo(1, 5)
    expect(Math.abs(decoded.get(specs[0][0])![64])).toBeLessThan(1e-40)
    expect(decoded.get(specs[3][0])).toEqual(new Float32Array(192))
  })

  it('works for any finite change', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 150, maxLength: 150 }),
        (list) => {
          const change = randomChange()
          change.set(specs[0][0], Float32Array.from(list))
          const values = decodeUpdate(encodeUpdate(input({ change })), { shape }).change.get(specs[0][0])!
          list.forEach((value, i) => {
            const block = list.slice(Math.floor(i / 64) * 64, Math.floor(i / 64) * 64 + 64)
            const step = Math.max(...block.map(Math.abs)) / 127
            expect(Math.abs(values[i] - value)).toBeLessThanOrEqual(step * 1.001 + 2 ** -142)
          })
        },
      ),
      { numRuns: 50 },
    )
  })

  it('an absent example count counts as one and is not in the bytes', () => {
    const bytes = encodeUpdate(input({ examples: null }))
    expect(parseSafetensors(bytes).metadata.has('examples')).toBe(false)
    expect(decodeUpdate(bytes, { shape }).examples).toBe(1)
  })

  it('aligns every F32 tensor', () => {
    const bytes = encodeUpdate(input())
    for (const { dtype, bytes: view } of parseSafetensors(bytes).tensors.values()) {
      if (dtype === 'F32') expect(view.byteOffset % 4).toBe(0)
    }
  })

  it.each(UPDATE_ENCODINGS)('updateBytes bounds %s from above, closely', (encoding) => {
    for (const examples of [null, 1, 1_000]) {
      const { length } = encodeUpdate(input({ encoding, examples }))
      expect(length).toBeLessThanOrEqual(updateBytes(shape, encoding))
      expect(length).toBeGreaterThan(updateBytes(shape, encoding) - 40)
    }
  })
})

describe('encodeUpdate refuses', () => {
  it.each([Number.NaN, Infinity])('%d', (value) => {
    const change = randomChange()
    change.get(specs[1][0])![5] = value
    expect(() => encodeUpdate(input({ change }))).toThrow(code('update/not-finite'))
  })

  it('what f16 cannot hold', () => {
    const change = randomChange()
    change.get(specs[1][0])![5] = 70_000
    expect(() => encodeUpdate(input({ change, encoding: 'f16' }))).toThrow(code('update/not-finite'))
  })

  it('a change of another shape', () => {
    const change = randomChange()
    expect(() => encodeUpdate(input({ change: new Map([...change].slice(1)) }))).toThrow(
      code('update/missing-tensor'),
    )
    expect(() =>
      encodeUpdate(input({ change: new Map([...change, ['more', new Float32Array(1)]]) })),
    ).toThrow(code('update/unknown-tensor'))
    expect(() => encodeUpdate(input({ change: change.set(specs[0][0], new Float32Array(149)) }))).toThrow(
      code('update/wrong-shape'),
    )
  })

  it.each([0, -1, 1.5, 1_001, Number.NaN])('%d examples', (examples) => {
    expect(() => encodeUpdate(input({ examples }))).toThrow(code('update/examples'))
  })
})

describe('decodeUpdate refuses', () => {
  /** A good f32 update, changed before it is written. */
  function forged(
    change: (tensors: SafetensorsInput[]) => SafetensorsInput[],
    metadata: Record<string, string> = {},
    encoding: UpdateInput['encoding'] = 'f32',
  ): () => unknown {
    const good = parseSafetensors(encodeUpdate(input({ encoding })))
    const tensors = [...good.tensors].map(([name, tensor]) => ({ name, ...tensor }))
    const bytes = writeSafetensors(change(tensors), { ...Object.fromEntries(good.metadata), ...metadata })
    return () => decodeUpdate(bytes, { shape, manifestDigest })
  }
  const same = (tensors: SafetensorsInput[]) => tensors
  const first = (over: Partial<SafetensorsInput>) => (tensors: SafetensorsInput[]) =>
    tensors.map((tensor, i) => (i === 0 ? { ...tensor, ...over } : tensor))

  it('nothing of a good one', () => {
    expect(forged(same)).not.toThrow()
  })

  it.each([
    ['update/missing-tensor', forged((tensors) => tensors.slice(1))],
    ['update/missing-tensor', forged(() => [])],
    ['update/unknown-tensor', forged((tensors) => [...tensors, { ...tensors[0], name: 'x' }])],
    ['update/unknown-tensor', forged(first({ name: 'base_model.model.m0.lora_A.weight ' }))],
    ['update/wrong-shape', forged(first({ shape: [50, 3] }))],
    ['update/wrong-shape', forged(first({ shape: [150] }))],
    ['update/wrong-shape', forged(first({ shape: [1, 3], bytes: new Uint8Array(12) }))],
    ['update/wrong-dtype', forged(first({ dtype: 'F64', bytes: new Uint8Array(1200) }))],
    ['update/wrong-dtype', forged(first({ dtype: 'U32' }))],
    ['update/not-finite', forged(first({ bytes: bytesOf(new Float32Array(150).fill(Number.NaN)) }))],
    ['update/not-finite', forged(first({ bytes: bytesOf(new Float32Array(150).fill(-Infinity)) }))],
    ['update/wrong-manifest', forged(same, { manifest: 'cd'.repeat(32) })],
    ['update/malformed', forged(same, { manifest: 'AB'.repeat(32) })],
    ['update/malformed', forged(same, { format: 'pt' })],
    ['update/malformed', forged(same, { note: 'what I read today' })],
    ['update/format-version', forged(same, { version: '2' })],
    ...['0', '-1', '1.5', '1001', '1e3', ' 5', '١', '9'.repeat(400)].map(
      (examples) => ['update/examples', forged(same, { examples })] as const,
    ),
    ['update/missing-tensor', forged((tensors) => tensors.slice(1), {}, 'i8')],
    ['update/malformed', forged(first({ bytes: bytesOf(Float32Array.of(1, -1, 1)) }), {}, 'i8')],
    ['update/not-finite', forged(first({ bytes: bytesOf(Float32Array.of(1, Number.NaN, 1)) }), {}, 'i8')],
    ['update/not-finite', forged(first({ bytes: bytesOf(new Float32Array(3).fill(3.4e38)) }), {}, 'i8')],
    ['update/wrong-shape', forged(first({ shape: [2], bytes: new Uint8Array(8) }), {}, 'i8')],
    [
      'update/malformed',
      forged(
        (tensors) =>
          tensors.map((tensor) =>
            tensor.dtype === 'I8'
              ? { ...tensor, bytes: new Uint8Array(tensor.bytes.length).fill(128) }
              : tensor,
          ),
        {},
        'i8',
      ),
    ],
  ] as const)('%s', (expected, attempt) => {
    expect(attempt).toThrow(code(expected))
  })

  it('an adapter, an empty file and random bytes', () => {
    const adapter = writeSafetensors([], { format: 'pt' })
    expect(() => decodeUpdate(adapter, { shape })).toThrow(code('update/malformed'))
    expect(() => decodeUpdate(new Uint8Array(), { shape })).toThrow(code('update/malformed'))
    const random = new RandomStream('garbage', '')
    const megabyte = Uint8Array.from({ length: 1_000_000 }, () => random.nextUint32())
    expect(() => decodeUpdate(megabyte, { shape })).toThrow(code('update/malformed'))
  })

  it('or reads any mutation of a good one', () => {
    const good = encodeUpdate(input())
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (edits) => {
          const bytes = good.slice()
          for (const [at, value] of edits) bytes[at] = value
          try {
            const { change } = decodeUpdate(bytes, { shape, manifestDigest })
            for (const values of change.values()) expect(values.every(Number.isFinite)).toBe(true)
          } catch (error) {
            expect(error).toBeInstanceOf(UpdateError)
            expect(error).toBeInstanceOf(FormatError)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('a cut at any length', () => {
    const good = encodeUpdate(input())
    for (let length = 0; length < good.length; length += 7) {
      expect(() => decodeUpdate(good.subarray(0, length), { shape })).toThrow(UpdateError)
    }
  })
})

describe('adapterChange and applyChange', () => {
  const initial = initialAdapter(shape, 'room')
  const trained: Adapter = {
    modules: new Map(
      [...initial.modules].map(([name, factors]) => [
        name,
        { ...factors, a: factors.a.map((x) => x + 0.01), b: factors.b.map((_, i) => i * 1e-3) },
      ]),
    ),
  }

  it('are inverse to float32 rounding', () => {
    const change = adapterChange(trained, initial)
    expect([...change.keys()]).toEqual(specs.map(([name]) => name))
    const back = applyChange(initial, change)
    for (const [name, factors] of trained.modules) {
      expect(back.modules.get(name)!.b).toEqual(factors.b)
      back.modules.get(name)!.a.forEach((value, i) => {
        expect(Math.abs(value - factors.a[i])).toBeLessThan(1e-7)
      })
    }
  })

  it('refuse adapters of different shapes', () => {
    const other = initialAdapter({ ...shape, rank: 2 }, 'room')
    expect(() => adapterChange(other, initial)).toThrow(code('update/wrong-shape'))
    expect(() => adapterChange({ modules: new Map() }, initial)).toThrow(code('update/wrong-shape'))
    expect(() => applyChange(initial, new Map())).toThrow(code('update/wrong-shape'))
  })
})
