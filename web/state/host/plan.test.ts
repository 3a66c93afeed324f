import fc from 'fast-check'
import { is } from 'valibot'
import { describe, expect, it } from 'vitest'
import { updateBytes } from '../../../models/adapters/update-codec.ts'
import { gaussianSigma } from '../../../relay/aggregation/gaussian.ts'
import { joinCode, roomName } from '../../../relay/protocol/fields.ts'
import type { Offer } from '../../../relay/protocol/host.ts'
import { parseManifest } from '../../../relay/protocol/manifest.ts'
import { SUPPORTED } from '../../../relay/server/supported.ts'
import {
  classPreset,
  costOf,
  EPSILONS,
  figuresOf,
  manifestOf,
  needsStart,
  newJoinCode,
  possibleForms,
  possibleStrategies,
  privacyWith,
  ROUNDS_OF_A_CLASS,
  roomNameFor,
  startRanks,
  withForm,
  withMode,
  withPrivacy,
} from './plan.ts'
import { testModel as model } from './testing/model.ts'

const offer: Offer = { ...SUPPORTED, joinBase: 'http://192.168.1.20:8787', models: [model] }

describe('a plan for a room', () => {
  it('makes a manifest of everything this relay offers', () => {
    for (const form of possibleForms(offer, model)) {
      for (const strategy of possibleStrategies(offer, { form, privacy: null, mode: { kind: 'one-shot' } })) {
        const plan = {
          ...withForm(classPreset(model, 'Poems'), form, model),
          strategy,
          approve: true,
          gate: true,
        }
        const manifest = manifestOf(plan, model, 'poems', 'seed')
        expect(parseManifest(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest)
        expect(manifest.strategy.id).toBe(strategy)
        expect(manifest.adapter.form ?? 'lora').toBe(form)
        expect(manifest.admission).toBe('approve')
        expect(manifest.gate).toEqual({ tolerance: 0 })
        expect(manifest.limits.updateBytes).toBe(costOf(plan, model).updateBytes)
      }
    }
  })

  it('makes rooms of several rounds of what can be trained on again, and says what they cost', () => {
    const once = { ...classPreset(model, 'Poems'), strategy: 'median' as const, approve: true, gate: true }
    for (const mode of [ROUNDS_OF_A_CLASS, { kind: 'sequential' }] as const) {
      for (const form of possibleForms(offer, model)) {
        const plan = withForm(withMode(once, mode, offer, model), form, model)
        expect(possibleStrategies(offer, plan)).toContain(plan.strategy)
        for (const strategy of possibleStrategies(offer, plan)) {
          const manifest = manifestOf({ ...plan, strategy }, model, 'poems', 'seed')
          expect(manifest).toMatchObject({ mode, publishEvery: mode.kind === 'rounds' ? 20 : 1 })
          expect(manifest.admission).toBeUndefined()
          // An update of a later round names the version that it was trained from.
          const shape = { ...manifest.adapter, modules: model.modules }
          const largest = updateBytes(shape, manifest.update.encoding, true)
          expect(manifest.limits.updateBytes).toBeGreaterThanOrEqual(largest)
        }
        const rounds = mode.kind === 'rounds' ? mode.rounds : 1
        expect(costOf(plan, model).trainedTokens).toBe(rounds * costOf(once, model).trainedTokens)
      }
    }
    const stepped = withMode(once, ROUNDS_OF_A_CLASS, offer, model)
    expect(costOf(stepped, model).downloadBytes).toBeGreaterThan(costOf(once, model).downloadBytes)
    // Private rooms publish once.
    expect(withPrivacy(stepped, privacyWith(4), offer, model).mode).toEqual({ kind: 'one-shot' })
  })

  it('offers lora-sb only at ranks there are start files of, and moves to one', () => {
    expect(startRanks(model)).toEqual([4])
    expect(possibleForms(offer, { ...model, starts: [] })).not.toContain('lora-sb')
    const plan = withForm(classPreset(model, 'Poems'), 'lora-sb', model)
    expect(plan).toMatchObject({ rank: 4, strategy: 'lora-sb' })
    expect(costOf(plan, model).downloadBytes).toBe(4_001_000)
    expect(withForm(plan, 'lora', model).strategy).toBe('florist')
  })

  it('offers lora-sb at any rank of a model whose start files the relay makes', () => {
    const making = { ...model, starts: [], makesStarts: true }
    expect(possibleForms(offer, making)).toContain('lora-sb')
    const preset = classPreset(making, 'Poems')
    const plan = withForm(preset, 'lora-sb', making)
    expect(plan.rank).toBe(preset.rank)
    expect([needsStart(plan, making), needsStart(preset, making)]).toEqual([true, false])
    // What everybody will download is known before it is made.
    const bytes = costOf(plan, making).downloadBytes
    const name = `lora-sb-rank-${plan.rank}.safetensors`
    const made = { ...making, starts: [{ ...model.starts[0], name, bytes: bytes - 4_000_000 }] }
    expect(needsStart(plan, made)).toBe(false)
    expect(costOf(plan, made).downloadBytes).toBe(bytes)
    expect(manifestOf(plan, made, 'poems', 'seed').adapter.start?.name).toBe(name)
    // No wider than the narrowest layer.
    const wide = { ...plan, rank: 64 }
    const narrow = { ...making, modules: [{ ...model.modules[0], outFeatures: 16 }] }
    expect(withForm(wide, 'lora-sb', narrow).rank).toBe(16)
  })

  it('keeps a strategy that goes with every form', () => {
    const plan = { ...classPreset(model, 'Poems'), strategy: 'median' as const }
    expect(withForm(plan, 'ffa', model).strategy).toBe('median')
  })

  it('makes a private room of what can be private, and an open one again', () => {
    for (const starts of [model.starts, []]) {
      const own = { ...model, starts }
      const open = { ...classPreset(own, 'Poems'), approve: true, gate: true }
      const plan = withPrivacy(open, privacyWith(4), offer, own)
      expect(plan.form).toBe(starts.length > 0 ? 'lora-sb' : 'ffa')
      expect(possibleStrategies(offer, plan)).toEqual([plan.strategy])
      expect(manifestOf(plan, own, 'poems', 'seed')).toMatchObject({
        privacy: { epsilon: 4, delta: 1e-5, clip: 1 },
        limits: { examples: 1 },
      })
      const again = withPrivacy(plan, null, offer, own)
      expect(manifestOf(again, own, 'poems', 'seed').privacy).toBeUndefined()
    }
  })

  it('knows the noise of each epsilon, and says what it is worth', () => {
    for (const { epsilon, sigma } of EPSILONS) {
      expect(sigma).toBeCloseTo(gaussianSigma(privacyWith(epsilon)), 4)
    }
    const plan = withPrivacy(classPreset(model, ''), privacyWith(8), offer, { ...model, starts: [] })
    const figures = figuresOf(plan, model, 30)
    expect(figures?.numbers).toBe(8 * (128 + 352))
    expect(figures?.noiseToClip).toBeCloseTo((EPSILONS[0].sigma * Math.sqrt(8 * 480)) / 30, 6)
    expect(figuresOf(classPreset(model, ''), model, 30)).toBeNull()
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
