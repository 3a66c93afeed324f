import fc from 'fast-check'
import { is } from 'valibot'
import { describe, expect, it } from 'vitest'
import { joinCode, roomName } from '../../../relay/protocol/fields.ts'
import type { Offer, OfferedModel } from '../../../relay/protocol/host.ts'
import { parseManifest } from '../../../relay/protocol/manifest.ts'
import { SUPPORTED } from '../../../relay/server/supported.ts'
import {
  classPreset,
  costOf,
  manifestOf,
  newJoinCode,
  possibleForms,
  possibleStrategies,
  roomNameFor,
  startRanks,
  withForm,
} from './plan.ts'

const digest = (letter: string) => letter.repeat(64) as OfferedModel['digest']

const model: OfferedModel = {
  id: 'tiny',
  family: 'llama',
  license: 'Apache-2.0',
  digest: digest('a'),
  files: [{ name: 'model.safetensors', bytes: 4_000_000, sha256: digest('b') }],
  modules: [
    { name: 'base_model.model.model.layers.0.self_attn.q_proj', inFeatures: 128, outFeatures: 128 },
    { name: 'base_model.model.model.layers.0.mlp.up_proj', inFeatures: 128, outFeatures: 352 },
  ],
  maxTokens: 512,
  starts: [{ name: 'lora-sb-rank-4.safetensors', bytes: 1000, sha256: digest('c') }],
}
const offer: Offer = { ...SUPPORTED, joinBase: 'http://192.168.1.20:8787', models: [model] }

describe('a plan for a room', () => {
  it('makes a manifest of everything this relay offers', () => {
    for (const form of possibleForms(offer, model)) {
      for (const strategy of possibleStrategies(offer, form)) {
        const plan = { ...withForm(classPreset(model, 'Poems'), form, model), strategy, approve: true }
        const manifest = manifestOf(plan, model, 'poems', 'seed')
        expect(parseManifest(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest)
        expect(manifest.strategy.id).toBe(strategy)
        expect(manifest.adapter.form ?? 'lora').toBe(form)
        expect(manifest.admission).toBe('approve')
        expect(manifest.limits.updateBytes).toBe(costOf(plan, model).updateBytes)
      }
    }
  })

  it('offers lora-sb only at ranks there are start files of, and moves to one', () => {
    expect(startRanks(model)).toEqual([4])
    expect(possibleForms(offer, { ...model, starts: [] })).not.toContain('lora-sb')
    const plan = withForm(classPreset(model, 'Poems'), 'lora-sb', model)
    expect(plan).toMatchObject({ rank: 4, strategy: 'lora-sb' })
    expect(costOf(plan, model).downloadBytes).toBe(4_001_000)
    expect(withForm(plan, 'lora', model).strategy).toBe('florist')
  })

  it('keeps a strategy that goes with every form', () => {
    const plan = { ...classPreset(model, 'Poems'), strategy: 'median' as const }
    expect(withForm(plan, 'ffa', model).strategy).toBe('median')
  })

  it('asks less of a class whose model is large', () => {
    const small = costOf(classPreset(model, ''), model)
    const large = { ...model, files: [{ ...model.files[0], bytes: 98_000_000 }] }
    expect(costOf(classPreset(large, ''), large).trainedTokens).toBeLessThan(small.trainedTokens)
  })

  it('names a room by its title, and never twice the same', () => {
    expect(roomNameFor('Poems of class 7b!', [])).toBe('poems-of-class-7b')
    expect(roomNameFor('Übung für Anfänger', [])).toBe('ubung-fur-anfanger')
    expect(roomNameFor('詩', ['room'])).toBe('room-2')
    fc.assert(
      fc.property(fc.string(), (title) => {
        const first = roomNameFor(title, [])
        const second = roomNameFor(title, [first])
        expect(is(roomName, first) && is(roomName, second)).toBe(true)
        expect(second).not.toBe(first)
      }),
    )
  })

  it('makes codes that the protocol takes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (random) => {
        const code = newJoinCode(random)
        expect(code).toMatch(/^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}$/)
        expect(is(joinCode, code)).toBe(true)
      }),
    )
  })
})
