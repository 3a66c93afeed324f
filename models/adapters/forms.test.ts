/** The three training forms as data: what each one's update holds, what decoding refuses, folding, the start file. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPeftAdapter, writePeftAdapter } from '../formats/peft.ts'
import { parseSafetensors, writeSafetensors } from '../formats/safetensors.ts'
import { type Adapter, type AdapterForm, type AdapterShape, withoutCores } from './adapter.ts'
import { readAdapterFile, writeAdapterFile } from './adapter-file.ts'
import { initialAdapter, startOf } from './initial.ts'
import { RandomStream } from './random.ts'
import { readStart, startBytes, writeStart } from './start.ts'
import {
  adapterChange,
  applyChange,
  decodeUpdate,
  encodeUpdate,
  UPDATE_ENCODINGS,
  updateBytes,
} from './update-codec.ts'

const FORMS: readonly AdapterForm[] = ['lora', 'ffa', 'lora-sb']

const shapeOf = (form: AdapterForm, rank = 3): AdapterShape => ({
  form,
  rank,
  alpha: 6,
  modules: [
    { name: 'base_model.model.m0', inFeatures: 11, outFeatures: 7 },
    { name: 'base_model.model.m1', inFeatures: 5, outFeatures: 9 },
  ],
})

const drawn = (length: number, random: RandomStream) =>
  Float32Array.from({ length }, () => random.nextFloat() - 0.5)

/** A start with numbers in every factor. */
function startAdapter(form: AdapterForm): Adapter {
  const random = new RandomStream('start', form)
  const shape = shapeOf(form)
  return {
    modules: new Map(
      shape.modules.map((module) => [
        module.name,
        {
          ...module,
          rank: 3,
          alpha: 6,
          a: drawn(3 * module.inFeatures, random),
          b: drawn(3 * module.outFeatures, random),
          ...(form === 'lora-sb' && { r: new Float32Array(9) }),
        },
      ]),
    ),
  }
}

/** The start, with other numbers in what the form trains. */
function trained(form: AdapterForm, seed: string): Adapter {
  const random = new RandomStream(seed, 'trained')
  const moved = (values: Float32Array) => values.map((value) => value + (random.nextFloat() - 0.5) / 16)
  return {
    modules: new Map(
      [...startAdapter(form).modules].map(([name, factors]) => [
        name,
        {
          ...factors,
          ...(form === 'lora' && { a: moved(factors.a) }),
          ...(form !== 'lora-sb' && { b: moved(factors.b) }),
          ...(factors.r && { r: moved(factors.r) }),
        },
      ]),
    ),
  }
}

const manifestDigest = 'cd'.repeat(32)

const suffixes = { lora: ['lora_A', 'lora_B'], ffa: ['lora_B'], 'lora-sb': ['lora_R'] } as const

describe.each(FORMS)('%s', (form) => {
  const shape = shapeOf(form)
  const pack = (seed: string, encoding: (typeof UPDATE_ENCODINGS)[number], as = form) =>
    encodeUpdate({
      change: adapterChange(trained(form, seed), startAdapter(form), as),
      shape: shapeOf(as),
      manifestDigest,
      examples: 1000,
      encoding,
      seed,
    })

  it('sends what it trains and nothing else', () => {
    const names = [...parseSafetensors(pack('x', 'f32')).tensors.keys()]
    expect(names).toEqual(
      shape.modules.flatMap(({ name }) => suffixes[form].map((suffix) => `${name}.${suffix}.weight`)),
    )
  })

  it('comes back, whatever was trained, in as many bytes as were announced', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.constantFrom(...UPDATE_ENCODINGS), (seed, encoding) => {
        const bytes = pack(seed, encoding)
        expect(bytes.length).toBe(updateBytes(shape, encoding))
        const { change } = decodeUpdate(bytes, { shape, manifestDigest })
        const back = applyChange(startAdapter(form), change, form)
        const tolerance = { i8: 1 / 16 / 127, f16: 2 ** -15, f32: 2 ** -23 }[encoding]
        for (const [name, factors] of trained(form, seed).modules) {
          const found = back.modules.get(name)!
          for (const factor of ['a', 'b', 'r'] as const) {
            factors[factor]?.forEach((value, i) => {
              expect(Math.abs(found[factor]![i] - value)).toBeLessThanOrEqual(tolerance)
            })
          }
        }
      }),
      { numRuns: 30 },
    )
  })

  it("refuses every other form's update", () => {
    for (const other of FORMS.filter((one) => one !== form)) {
      const refused = expect.objectContaining({
        code: expect.stringMatching(/^update\/(unknown|missing)-tensor$/),
      })
      expect(() => decodeUpdate(pack('x', 'i8'), { shape: shapeOf(other) })).toThrow(refused)
    }
  })

  it('refuses a change that holds what it does not train', () => {
    const change = adapterChange(trained(form, 'x'), startAdapter(form), form)
    change.set('base_model.model.m0.lora_X.weight', new Float32Array(1))
    expect(() =>
      encodeUpdate({ change, shape, manifestDigest, examples: 1, encoding: 'i8', seed: 's' }),
    ).toThrow(expect.objectContaining({ code: 'update/unknown-tensor' }))
  })
})

it('LoRA-SB sends the least, FFA about half of LoRA', () => {
  const wide = (form: AdapterForm) => ({
    ...shapeOf(form, 8),
    modules: [{ name: 'base_model.model.m', inFeatures: 576, outFeatures: 576 }],
  })
  const [lora, ffa, sb] = FORMS.map((form) => updateBytes(wide(form), 'i8'))
  expect(ffa).toBeLessThan(0.6 * lora)
  expect(sb).toBeLessThan(0.1 * lora)
})

describe('folding', () => {
  it('puts the core into B: the same delta, and PEFT reads it', () => {
    const adapter = trained('lora-sb', 'x')
    const folded = withoutCores(adapter)
    for (const [name, { rank, inFeatures, outFeatures, a, b, r }] of adapter.modules) {
      const plain = folded.modules.get(name)!
      expect(plain.r).toBeUndefined()
      for (let o = 0; o < outFeatures; o++) {
        for (let i = 0; i < inFeatures; i++) {
          let expected = 0
          let found = 0
          for (let p = 0; p < rank; p++) {
            found += plain.b[o * rank + p] * plain.a[p * inFeatures + i]
            for (let q = 0; q < rank; q++)
              expected += b[o * rank + p] * r![p * rank + q] * a[q * inFeatures + i]
          }
          expect(found).toBeCloseTo(expected, 6)
        }
      }
    }
    const folder = writePeftAdapter(adapter, 'base')
    const read = readPeftAdapter(folder['adapter_config.json'], folder['adapter_model.safetensors'])
    expect(read.modules.get('base_model.model.m0')!.b).toEqual(folded.modules.get('base_model.model.m0')!.b)
  })

  it('leaves plain LoRA as it is', () => {
    const adapter = trained('lora', 'x')
    expect(withoutCores(adapter)).toEqual(adapter)
  })
})

describe('an adapter in one file', () => {
  it.each(FORMS)('%s comes back to the bit', (form) => {
    expect(readAdapterFile(writeAdapterFile(trained(form, 'x')))).toEqual(trained(form, 'x'))
  })

  it('is refused where anything is missing or of another kind', () => {
    const refused = expect.objectContaining({ code: 'adapter/malformed' })
    expect(() => readAdapterFile(writeStart(startAdapter('lora')))).toThrow(refused)
    const { tensors, metadata } = parseSafetensors(writeAdapterFile(trained('lora-sb', 'x')))
    const inputs = [...tensors].map(([name, tensor]) => ({ ...tensor, name }))
    const written = (entries: typeof inputs, over: Record<string, string> = {}) =>
      writeSafetensors(entries, { ...Object.fromEntries(metadata), ...over })
    expect(readAdapterFile(written(inputs))).toEqual(trained('lora-sb', 'x'))
    expect(() => readAdapterFile(written(inputs.slice(1)))).toThrow(refused)
    for (const modules of ['{', '[null]', '[{"name":"m","alpha":1,"rank":-1}]'])
      expect(() => readAdapterFile(written(inputs, { modules }))).toThrow(refused)
    expect(() => readAdapterFile(written(inputs, { form: 'dora' }))).toThrow(refused)
  })
})

describe('the start file', () => {
  const shape = shapeOf('lora-sb')

  it('gives A and B to the bit and R = 0', () => {
    const bytes = writeStart(startAdapter('lora-sb'))
    expect(bytes.length).toBe(startBytes(shape))
    expect(startOf(shape, 'seed', bytes)).toEqual(startAdapter('lora-sb'))
  })

  it('is refused where it is of another shape, incomplete, or not finite', () => {
    const refused = expect.objectContaining({ code: 'start/malformed' })
    const bytes = writeStart(startAdapter('lora-sb'))
    expect(() => readStart(bytes, shapeOf('lora-sb', 4))).toThrow(refused)
    expect(() => readStart(bytes, { ...shape, modules: shape.modules.slice(1) })).toThrow(refused)
    const other = {
      ...shape,
      modules: [...shape.modules, { ...shape.modules[0], name: 'base_model.model.m2' }],
    }
    expect(() => readStart(bytes, other)).toThrow(refused)
    const broken = startAdapter('lora-sb')
    broken.modules.get('base_model.model.m1')!.b[4] = Number.NaN
    expect(() => readStart(writeStart(broken), shape)).toThrow(refused)
  })

  it('is needed by LoRA-SB and drawn from the seed by the others', () => {
    expect(() => startOf(shape, 'seed', null)).toThrow(RangeError)
    expect(() => initialAdapter(shape, 'seed')).toThrow(RangeError)
    expect(startOf(shapeOf('ffa'), 'seed', null)).toEqual(initialAdapter(shapeOf('lora'), 'seed'))
  })
})
