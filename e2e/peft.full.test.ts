/**
 * The merged adapter in other people's hands: Python's `peft` loads what the relay publishes, over the embedded
 * model, and must come to the same logits as this project's own engine. Skipped, with the reason, where Python or
 * its packages are not to be had.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterShape } from '../models/adapters/adapter.ts'
import { initialAdapter } from '../models/adapters/initial.ts'
import { RandomStream } from '../models/adapters/random.ts'
import { adapterChange, decodeUpdate, encodeUpdate } from '../models/adapters/update-codec.ts'
import { createNodeEngine } from '../models/backend/node.ts'
import { readPeftAdapter, writePeftAdapter } from '../models/formats/peft.ts'
import { sha256Hex } from '../models/sha256.ts'
import { modelFiles } from '../models/testing/fixtures.ts'
import { loadLlama, states } from '../models/testing/llama.ts'
import { placeAdapter } from '../models/training/engine-adapter.ts'
import { mergeUpdates, type StrategyChoice } from '../relay/aggregation/index.ts'
import { type PeftPython, peftPython } from '../scripts/peft-python.ts'

const MODEL_DIR = path.resolve(import.meta.dirname, '../models/catalog/tiny')
const SCRIPT = path.resolve(import.meta.dirname, '../scripts/peft_check.py')
const MANIFEST_DIGEST = '0'.repeat(64)
const TEXT = 'It was a bright cold day, and the children ran down to the river to see the boats come in.'
const TOLERANCE = 1e-3

let folder: string
let found: PeftPython

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-peft-'))
  found = await peftPython()
}, 20 * 60_000)

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

/** Three clients' updates, large enough that a mistake in scale or order shows in the logits. */
function mergedAdapter(shape: AdapterShape, strategy: StrategyChoice) {
  const seed = 'peft'
  const initial = initialAdapter(shape, seed)
  const updates = ['one', 'two', 'three'].map((client, k) => {
    const change = adapterChange(initial, initial)
    for (const [name, values] of change) {
      const random = new RandomStream(client, name)
      for (let i = 0; i < values.length; i++) values[i] = (random.nextFloat() - 0.5) * 0.05
    }
    const examples = 5 + k
    const encoded = {
      shape,
      manifestDigest: MANIFEST_DIGEST,
      examples,
      encoding: 'i8',
      seed: client,
    } as const
    const bytes = encodeUpdate({ ...encoded, change })
    return { digest: sha256Hex(bytes), examples, change: decodeUpdate(bytes, { shape }).change }
  })
  return mergeUpdates({ strategy, initial, manifestDigest: MANIFEST_DIGEST, updates }).adapter
}

const largest = (values: Float32Array, other: Float32Array) =>
  values.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i])), 0)

describe('the merged adapter in peft', () => {
  it.for<[string, StrategyChoice]>([
    ['florist, whose ranks differ from module to module', { id: 'florist', tau: 0.9 }],
    ['fedit', { id: 'fedit' }],
  ])('has the same logits: %s', async ([, strategy], context) => {
    if ('missing' in found) return context.skip(found.missing)
    const engine = await createNodeEngine({ backend: 'wasm' })
    const { model, tokenizer, dispose } = await loadLlama(engine, modelFiles('tiny'))
    const shape: AdapterShape = { rank: 8, alpha: 16, modules: model.modules }
    const peft = writePeftAdapter(mergedAdapter(shape, strategy), 'tiny')
    const adapterDir = path.join(folder, strategy.id)
    fs.mkdirSync(adapterDir)
    for (const [name, bytes] of Object.entries(peft)) fs.writeFileSync(path.join(adapterDir, name), bytes)

    const ids = tokenizer.encode(TEXT)
    const idsFile = path.join(folder, 'ids.json')
    const outFile = path.join(folder, `${strategy.id}.f32`)
    fs.writeFileSync(idsFile, JSON.stringify([ids]))
    execFileSync(found.python, [SCRIPT, MODEL_DIR, adapterDir, idsFile, outFile], { stdio: 'pipe' })
    const out = fs.readFileSync(outFile)
    const python = new Float32Array(out.buffer.slice(out.byteOffset, out.byteOffset + out.byteLength))
    const half = python.length / 2

    const batch = { batch: 1, tokens: ids.length }
    const adapter = readPeftAdapter(peft['adapter_config.json'], peft['adapter_model.safetensors'])
    const base = await states(model, Float32Array.from(ids), batch, null)
    const adapted = await states(model, Float32Array.from(ids), batch, placeAdapter(engine, adapter))
    expect(base.logits.length).toBe(half)
    expect(largest(base.logits, python.subarray(0, half))).toBeLessThan(TOLERANCE)
    expect(largest(adapted.logits, python.subarray(half))).toBeLessThan(TOLERANCE)
    // The adapter does change the model, so the agreement says something.
    expect(largest(adapted.logits, base.logits)).toBeGreaterThan(100 * TOLERANCE)
    dispose()
    await engine.dispose()
  })
})
