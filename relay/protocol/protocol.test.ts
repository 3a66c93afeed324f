import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { canonicalJson, digestOfText } from './canonical.ts'
import { createManifest, largestChangeNorm, type NewManifest } from './create-manifest.ts'
import { ERROR_CODES, isErrorCode, ProtocolError, sentenceFor } from './errors.ts'
import { roomName } from './fields.ts'
import { manifestDigest, parseManifest } from './manifest.ts'
import { answers, clientEvents, joinAnswerSchema, parseClientMessage, relayEvents } from './messages.ts'
import type { Strategy } from './strategy.ts'
import { SAMPLE_RECIPE } from './testing/recipe.ts'

const base: NewManifest = {
  room: 'room',
  title: 'A room',
  base: {
    id: 'tiny',
    family: 'llama',
    license: 'Apache-2.0',
    digest: digestOfText('base'),
    files: [{ name: 'model.safetensors', bytes: 4, sha256: digestOfText('file') }],
  },
  adapter: {
    rank: 8,
    alpha: 16,
    seed: 's',
    modules: [{ name: 'base_model.model.model.layers.0.self_attn.q_proj', inFeatures: 64, outFeatures: 64 }],
  },
  recipe: SAMPLE_RECIPE,
  updateBytes: 10_000,
}
const manifest = createManifest(base)

const codeOf = (action: () => unknown) => {
  try {
    action()
    return null
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}

describe('canonical JSON', () => {
  it('has one spelling and one digest', () => {
    expect(canonicalJson({ b: [1, 0.5, null, true], a: { z: 'ä"\n', y: 1e-8 } })).toBe(
      '{"a":{"y":1e-8,"z":"ä\\"\\n"},"b":[1,0.5,null,true]}',
    )
    // printf '{"a":1,"b":[2,"x"]}' | sha256sum
    expect(digestOfText(canonicalJson({ b: [2, 'x'], a: 1 }))).toBe(
      '454597f51f0e5988dd7d0864f82e826d91fd43ed815a21bb06cd7181e8547a2f',
    )
  })

  it('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse())
        expect(canonicalJson(reversed)).toBe(canonicalJson(value))
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

describe('manifest', () => {
  it('survives JSON, with the same digest whatever the order of its keys', () => {
    const reversed = Object.fromEntries(Object.entries(structuredClone(manifest)).reverse())
    expect(manifestDigest(parseManifest(JSON.parse(JSON.stringify(reversed))))).toBe(manifestDigest(manifest))
  })

  it('has another digest when any term differs', () => {
    expect(manifestDigest({ ...manifest, publishEvery: 4 })).not.toBe(manifestDigest(manifest))
    expect(manifestDigest(createManifest({ ...base, adapter: { ...base.adapter, seed: 't' } }))).not.toBe(
      manifestDigest(manifest),
    )
  })

  it.each<Strategy>([
    { id: 'florist', tau: 0.999 },
    { id: 'fedit' },
    { id: 'svd', rank: 8, tau: 0.9 },
    { id: 'task', lambda: 1.5, clip: 'median' },
    { id: 'dare', density: 0.2, seed: 's', rank: 16, clip: 2 },
    { id: 'trimmed-mean', trim: 0.1 },
  ])('takes the strategy %o as it is', (strategy) => {
    const parsed = parseManifest(JSON.parse(JSON.stringify({ ...manifest, strategy })))
    expect(parsed.strategy).toEqual(strategy)
    expect(canonicalJson(parsed)).toContain(canonicalJson(strategy))
  })

  const [module] = base.adapter.modules
  const wrong: [string, unknown][] = [
    ['room', { ...manifest, room: '../etc' }],
    ['formatVersion', { ...manifest, formatVersion: 2 }],
    ['strategy.id', { ...manifest, strategy: { id: 'lora-sb' } }],
    ['title', { ...manifest, title: 'a\u0000b' }],
    ['base.digest', { ...manifest, base: { ...manifest.base, digest: 'A'.repeat(64) } }],
    ['base.files', { ...manifest, base: { ...manifest.base, files: [] } }],
    [
      'base.files.0.name',
      { ...manifest, base: { ...manifest.base, files: [{ ...base.base.files[0], name: '../x' }] } },
    ],
    ['adapter.modules', { ...manifest, adapter: { ...manifest.adapter, modules: [module, module] } }],
    [
      'adapter.modules.0.inFeatures',
      { ...manifest, adapter: { ...manifest.adapter, modules: [{ ...module, inFeatures: 1e12 }] } },
    ],
    ['adapter.rank', { ...manifest, adapter: { ...manifest.adapter, rank: 2.5 } }],
    ['recipe.learningRate', { ...manifest, recipe: { ...manifest.recipe, learningRate: Number.NaN } }],
    ['strategy.id', { ...manifest, strategy: { id: 'mode' } }],
    ['strategy.id', { ...manifest, strategy: { id: 'ffa' } }],
    ['strategy.rank', { ...manifest, strategy: { id: 'svd' } }],
    ['strategy.rank', { ...manifest, strategy: { id: 'median', rank: 0 } }],
    ['strategy.density', { ...manifest, strategy: { id: 'ties', density: 0 } }],
    ['strategy.scope', { ...manifest, strategy: { id: 'ties', density: 0.2, scope: 'layer' } }],
    ['strategy.seed', { ...manifest, strategy: { id: 'dare', density: 0.2, seed: '' } }],
    ['strategy.trim', { ...manifest, strategy: { id: 'trimmed-mean', trim: 0.5 } }],
    ['strategy.clip', { ...manifest, strategy: { id: 'rfa', clip: 'mean' } }],
    ['strategy.lambda', { ...manifest, strategy: { id: 'task', lambda: 0 } }],
    ['strategy.density', { ...manifest, strategy: { id: 'median', density: 0.5 } }],
    ['publishEvery', { ...manifest, publishEvery: 0 }],
    ['limits.chunkBytes', { ...manifest, limits: { ...manifest.limits, chunkBytes: 2 ** 30 } }],
    ['limits.examples', { ...manifest, limits: { ...manifest.limits, examples: 1001 } }],
    ['extra', { ...manifest, extra: 1 }],
    ['__proto__', JSON.parse(JSON.stringify(manifest).replace('{', '{"__proto__":{"polluted":1},'))],
  ]
  it.each(wrong)('refuses a wrong %s, and names it', (field, value) => {
    expect(() => parseManifest(value)).toThrow(field)
    expect(codeOf(() => parseManifest(value))).toBe('manifest/malformed')
  })

  it('refuses anything else with its code', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(codeOf(() => parseManifest(value))).toBe('manifest/malformed')
      }),
    )
  })

  it('allows the largest change that its recipe can make', () => {
    // 8 * (64 + 64) = 1024 entries, each moved by at most max(1, 60 * 0.003)
    expect(largestChangeNorm(base.recipe, manifest.adapter)).toBe(32)
  })
})

describe('messages', () => {
  const digest = digestOfText('update')
  const valid = {
    join: { protocolVersion: 1, room: 'room' },
    begin: { digest, bytes: 100, examples: 3 },
    chunk: { offset: 0, data: new Uint8Array(3) },
    commit: { digest },
  }

  it.each(Object.entries(valid))('reads %s', (event, payload) => {
    expect(parseClientMessage(event, payload)).toEqual({ event, payload })
  })

  it.each(Object.entries(valid))(
    'refuses %s with a field too many, too few, or of a wrong type',
    (event, payload) => {
      expect(codeOf(() => parseClientMessage(event, { ...payload, more: 1 }))).toBe('protocol/malformed')
      const polluted = Object.defineProperty({ ...payload }, '__proto__', { value: {}, enumerable: true })
      expect(codeOf(() => parseClientMessage(event, polluted))).toBe('protocol/malformed')
      for (const field of Object.keys(payload)) {
        if (field === 'examples') continue
        const without = Object.fromEntries(Object.entries(payload).filter(([name]) => name !== field))
        expect(codeOf(() => parseClientMessage(event, without))).toBe('protocol/malformed')
        expect(codeOf(() => parseClientMessage(event, { ...payload, [field]: {} }))).toBe(
          'protocol/malformed',
        )
      }
    },
  )

  it('tells another version from a broken message', () => {
    expect(codeOf(() => parseClientMessage('join', { protocolVersion: 2, channel: 'x' }))).toBe(
      'protocol/version',
    )
    expect(codeOf(() => parseClientMessage('join', { protocolVersion: '1' }))).toBe('protocol/malformed')
  })

  it('answers anything at all with a code', () => {
    const event = fc.oneof(
      fc.constantFrom(...Object.keys(clientEvents), '__proto__', 'constructor'),
      fc.string(),
    )
    fc.assert(
      fc.property(event, fc.anything(), (name, payload) => {
        const code = codeOf(() => parseClientMessage(name, payload))
        expect(code).toBe(Object.hasOwn(clientEvents, name) ? 'protocol/malformed' : 'protocol/unknown-event')
      }),
    )
  })

  it.each(['', 'A', '-a', 'a-', 'a b', 'a\u0000', '../a', 'a/b', 'ä', 'a\n', 'a'.repeat(64)])(
    'refuses the room name %j',
    (name) => expect(v.is(roomName, name)).toBe(false),
  )
  it.each(['a', '7b', 'class-7b', 'a'.repeat(63)])('takes the room name %j', (name) =>
    expect(v.is(roomName, name)).toBe(true),
  )

  it('reads no answer that is half one and half the other', () => {
    for (const schema of Object.values(answers)) {
      expect(v.is(schema, { ok: false, code: 'room/full' })).toBe(true)
      expect(v.is(schema, { ok: false, code: 'room/none' })).toBe(false)
      expect(v.is(schema, { ok: true, code: 'room/full' })).toBe(false)
    }
    expect(v.is(joinAnswerSchema, { ok: true, participant: '../x' })).toBe(false)
    expect(v.is(relayEvents.refused, { ok: false, code: 'join/replaced' })).toBe(true)
  })

  it('bounds what a client may announce', () => {
    expect(codeOf(() => parseClientMessage('begin', { digest, bytes: 2 ** 40 }))).toBe('protocol/malformed')
    expect(codeOf(() => parseClientMessage('begin', { digest, bytes: 1, examples: 1001 }))).toBe(
      'protocol/malformed',
    )
  })
})

describe('error codes', () => {
  it('each have one sentence with what to do', () => {
    for (const code of ERROR_CODES) {
      expect(code).toMatch(/^[a-z]+\/[a-z-]+$/)
      expect(sentenceFor(code), code).toMatch(/^[A-Z].{20,170}\.$/)
      expect(new ProtocolError(code).message).toBe(sentenceFor(code))
    }
    expect(new Set(ERROR_CODES.map(sentenceFor)).size).toBe(ERROR_CODES.length)
  })

  it('are told from names that every object has', () => {
    expect(isErrorCode('room/full')).toBe(true)
    expect(isErrorCode('constructor')).toBe(false)
    expect(isErrorCode('__proto__')).toBe(false)
  })
})
