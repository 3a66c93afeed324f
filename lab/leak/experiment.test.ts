import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { loadModel } from '../../models/catalog/load.ts'
import type { TextModel } from '../../models/families/family.ts'
import { evaluate } from '../../models/training/evaluate.ts'
import { CONDITIONS, type LeakMeasure, leakExperiment, partOf } from './experiment.ts'
import { logProbabilities } from './log-probabilities.ts'
import { candidateExample, drawCandidates } from './secret.ts'

const catalog = new URL('../../models/catalog/', import.meta.url)
const text = (name: string) => fs.readFileSync(new URL(`samples/${name}.txt`, catalog), 'utf8')

let engine: Engine
let loaded: TextModel

beforeAll(async () => {
  engine = await createNodeEngine({ backend: 'wasm' })
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
  const files = new Map(
    names.map((name) => [name, new Uint8Array(fs.readFileSync(new URL(`tiny/${name}`, catalog)))]),
  )
  const model = loadModel(engine, files)
  if (model.medium !== 'text') throw new Error('the tiny model writes text')
  loaded = model
})

afterAll(async () => {
  loaded?.dispose()
  await engine?.dispose()
})

describe('the leak lesson', () => {
  it('gives each candidate the probability that the evaluation gives it alone', async () => {
    const examples = drawCandidates('4719', 9, 'some').map((code) => candidateExample(code, loaded.tokenizer))
    const together = await logProbabilities(loaded.model, null, examples)
    for (const [i, example] of examples.entries()) {
      const alone = await evaluate(loaded.model, null, [example], { batch: 1, tokens: 32 })
      expect(together[i]).toBeCloseTo(-alone.loss * alone.counted, 3)
    }
  })

  it('gives every client a text of its own, and says where there is none left', () => {
    const texts = [text('poe'), text('carroll')]
    const all = Array.from({ length: 6 }, (_, client) => partOf(texts, client))
    expect(new Set(all.flatMap(({ own, heldOut }) => [own, heldOut])).size).toBe(12)
    expect(() => partOf(texts, 1000)).toThrow(/not enough text/)
  })

  it('says how far it is, and repeats to the bit', async () => {
    const texts = ['poe', 'carroll', 'doyle'].map(text)
    const options = { seed: '7', code: '4719', copies: 4, clients: 3, steps: 1, candidates: 6, texts }
    const run = async (conditions: number) => {
      const measures: LeakMeasure[] = []
      const fractions: number[] = []
      for await (const event of leakExperiment(loaded, options)) {
        if (event.kind === 'measured') measures.push(event.measure)
        else fractions.push(event.fraction)
        if (measures.length === conditions) break
      }
      return { measures, fractions }
    }
    // ONEROUND_FULL: every room; else the base and the first client's update.
    const wanted = process.env.ONEROUND_FULL === '1' ? CONDITIONS.length : 2
    const first = await run(wanted)
    expect(first.measures.map(({ condition }) => condition)).toEqual(CONDITIONS.slice(0, wanted))
    expect(first.fractions).toEqual([...first.fractions].sort((a, b) => a - b))
    expect(first.fractions.at(-1)).toBeLessThan(1)
    for (const { exposure, heldOutLoss, logProbability } of first.measures) {
      expect(exposure.candidates).toBe(6)
      expect(heldOutLoss).toBeGreaterThan(0)
      expect(logProbability).toBeLessThan(0)
    }
    // One step changes something already.
    expect(first.measures[1].logProbability).not.toBe(first.measures[0].logProbability)
    expect((await run(2)).measures).toEqual(first.measures.slice(0, 2))
  })
})
