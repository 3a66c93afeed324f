import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { type LoadedModel, loadModel } from '../../models/catalog/load.ts'
import { evaluate } from '../../models/training/evaluate.ts'
import { CONDITIONS, type LeakMeasure, leakExperiment, partOf } from './experiment.ts'
import { logProbabilities } from './log-probabilities.ts'
import { candidateExample, drawCandidates } from './secret.ts'

const catalog = new URL('../../models/catalog/', import.meta.url)
const text = (name: string) => fs.readFileSync(new URL(`samples/${name}.txt`, catalog), 'utf8')

let engine: Engine
let loaded: LoadedModel

beforeAll(async () => {
  engine = await createNodeEngine({ backend: 'wasm' })
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
  const files = new Map(
    names.map((name) => [name, new Uint8Array(fs.readFileSync(new URL(`tiny/${name}`, catalog)))]),
  )
  loaded = loadModel(engine, files)
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

  it('measures every room, says how far it is, and repeats to the bit', async () => {
    const options = {
      seed: '7',
      code: '4719',
      copies: 4,
      clients: 3,
      steps: 1,
      candidates: 6,
      texts: ['poe', 'carroll', 'doyle'].map(text),
    }
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
    const first = await run(CONDITIONS.length)
    expect(first.measures.map(({ condition }) => condition)).toEqual(CONDITIONS)
    expect(first.fractions).toEqual([...first.fractions].sort((a, b) => a - b))
    expect(first.fractions.at(-1)).toBeLessThan(1)
    for (const { exposure, heldOutLoss, logProbability } of first.measures) {
      expect(exposure.candidates).toBe(6)
      expect(heldOutLoss).toBeGreaterThan(0)
      expect(logProbability).toBeLessThan(0)
    }
    // One step changes something already.
    const of = (condition: string) => first.measures.find((one) => one.condition === condition)!
    expect(of('alone').logProbability).not.toBe(of('base').logProbability)
    expect(of('private').heldOutLoss).toBeGreaterThan(of('clipped').heldOutLoss)
    expect((await run(2)).measures).toEqual(first.measures.slice(0, 2))
  })
})
