/**
 * The embedded model on every engine against PyTorch and PEFT: logits, gradients, ten AdamW steps and greedy
 * text. Its evaluation losses, which take longer, are checked on wasm here and on the others in the full tests.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LoadedModel, loadModel } from '../catalog/load.ts'
import { expectWithin } from '../testing/close.ts'
import { fixtureAdapter, fixtureBytes, fixtureJson, fixtureTensors, modelFiles } from '../testing/fixtures.ts'
import {
  examplesOf,
  expectAdapter,
  expectGradients,
  lossAndGradients,
  states,
  tenSteps,
} from '../testing/llama.ts'
import { onEveryExecutor } from '../testing/on-every-engine.ts'
import { readDocuments } from '../training/documents.ts'
import { evaluate } from '../training/trainer.ts'
import { windows } from '../training/windows.ts'
import { generate } from './generate.ts'

const PATIENCE_MS = 240_000

onEveryExecutor('the embedded model', (engine, { backend, label }) => {
  const forward = fixtureTensors('tiny/forward.safetensors')
  const run = fixtureJson('tiny/train.json')
  const ids = forward('input_ids')
  const examples = examplesOf(ids, ids, 2)
  const shape = { batch: 2, tokens: 48 }
  let loaded: LoadedModel

  beforeAll(async () => {
    loaded = await loadModel(engine(), modelFiles('tiny'))
  })

  afterAll(() => loaded.dispose())

  it(
    'logits',
    async () => {
      const { logits } = await states(loaded.model, ids, { batch: 2, tokens: 49 }, null)
      expectWithin(logits, forward('logits'), 1e-4, 'logits')
    },
    PATIENCE_MS,
  )

  it(
    'loss and gradients of every A and B',
    async () => {
      const adapter = fixtureAdapter('tiny/lora')
      const { loss, gradients } = await lossAndGradients(loaded.model, examples, shape, adapter)
      expectWithin([loss], [run.loraLoss], 1e-5, 'loss')
      expectGradients(gradients, fixtureTensors('tiny/lora/gradients.safetensors'), adapter)
    },
    PATIENCE_MS,
  )

  it(
    'ten AdamW steps',
    async () => {
      const found = await tenSteps(loaded.model, examples, shape, fixtureAdapter('tiny/train/start'), {
        learningRate: run.lr,
        beta1: run.betas[0],
        beta2: run.betas[1],
        epsilon: run.eps,
        weightDecay: run.weightDecay,
        maxNorm: run.clip,
      })
      const of = (name: 'loss' | 'gradNorm') => run.steps.map((step: Record<string, number>) => step[name])
      expectWithin(
        found.readings.map(({ loss }) => loss),
        of('loss'),
        1e-3,
        'losses',
      )
      expectWithin(
        found.readings.map(({ gradientNorm }) => gradientNorm),
        of('gradNorm'),
        1e-3,
        'gradient norms',
      )
      expectAdapter(found.adapter, fixtureAdapter('tiny/train/end'), 2e-3)
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
