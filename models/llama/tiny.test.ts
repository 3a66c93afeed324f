/**
 * The embedded model on every engine against PyTorch and PEFT: logits, gradients, ten AdamW steps, greedy text and
 * evaluation losses. All of it on wasm; on a software adapter, which computes it for a minute, logits and gradients,
 * and the rest in the full tests (the smallest models have every case on every engine in each run).
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectWithin } from '../testing/close.ts'
import { fixtureBytes, fixtureJson, fixtures } from '../testing/fixtures.ts'
import { type LoadedLlama, loadLlama } from '../testing/llama.ts'
import { tinyCases } from '../testing/llama-fixtures.ts'
import { onEveryExecutor } from '../testing/on-every-engine.ts'
import { expectHeld } from '../testing/tolerances.ts'
import { readDocuments } from '../text/documents.ts'
import { generate } from '../text/generate.ts'
import { windows } from '../text/windows.ts'
import { evaluate } from '../training/trainer.ts'

const PATIENCE_MS = 240_000
/** Forward and backward through every kernel once. */
const QUICK_CASES = new Set(['logits', 'loss and gradients of every A and B'])

onEveryExecutor('the embedded model', (engine, { backend, label }) => {
  let loaded: LoadedLlama

  beforeAll(() => {
    loaded = loadLlama(engine(), fixtures.modelFiles('tiny'))
  })

  afterAll(() => loaded.dispose())

  const quick = backend === 'wasm' || process.env.ONEROUND_FULL === '1'
  const cases = Object.entries(tinyCases()).filter(([title]) => quick || QUICK_CASES.has(title))

  it('has its quick cases', () => {
    expect(cases.length).toBeGreaterThanOrEqual(QUICK_CASES.size)
  })

  it.each(cases)(
    '%s',
    async (_, run) => {
      expectHeld(await run({ model: loaded.model, fixtures }))
    },
    PATIENCE_MS,
  )

  it.runIf(quick)(
    'greedy text',
    async () => {
      for (const { prompt_ids, ids: expected, margins } of fixtureJson('tiny/greedy.json')) {
        const found: number[] = []
        for await (const { id } of generate({
          ...loaded,
          adapter: null,
          prompt: prompt_ids,
          maxTokens: expected.length,
          temperature: 0,
          stopIds: [],
        })) {
          found.push(id)
        }
        expect(found.length).toBe(expected.length)
        // Where two tokens are nearly as likely another rounding may choose the other, and goes its own way then.
        const close = (margins as number[]).findIndex((margin) => margin < 0.05)
        const compared = close === -1 ? expected.length : close
        expect(compared).toBeGreaterThan(4)
        expect(found.slice(0, compared)).toEqual(expected.slice(0, compared))
      }
    },
    PATIENCE_MS,
  )

  describe.runIf(quick)(`evaluation, ${label}`, () => {
    const expected: Record<string, { loss: number; tokens: number }> = fixtureJson('tiny/eval.json')
    it.each(Object.keys(expected))(
      '%s',
      async (file) => {
        const { documents } = readDocuments(file, fixtureBytes(`tiny/${file}`))
        const examples = windows(documents, loaded.tokenizer, 256)
        const { loss, counted } = await evaluate(loaded.model, null, examples, { batch: 2, tokens: 256 })
        expect(counted).toBe(expected[file].tokens)
        expectWithin([loss], [expected[file].loss], 1e-4, 'loss')
      },
      PATIENCE_MS,
    )
  })
})
