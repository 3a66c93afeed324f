/**
 * The embedded model on every engine against PyTorch and PEFT: logits, gradients, ten AdamW steps and greedy
 * text. Its evaluation losses, which take longer, are checked on wasm here and on the others in the full tests.
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

onEveryExecutor('the embedded model', (engine, { backend, label }) => {
  let loaded: LoadedLlama

  beforeAll(() => {
    loaded = loadLlama(engine(), fixtures.modelFiles('tiny'))
  })

  afterAll(() => loaded.dispose())

  it.each(Object.entries(tinyCases()))(
    '%s',
    async (_, run) => {
      expectHeld(await run({ model: loaded.model, fixtures }))
    },
    PATIENCE_MS,
  )

  it(
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

  describe.runIf(backend === 'wasm' || process.env.ONEROUND_FULL === '1')(`evaluation, ${label}`, () => {
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
