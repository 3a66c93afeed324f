/**
 * Training and prompts with every tile in float16 that may be, as a tuner might choose: nano and SmolLM2-135M-Instruct
 * against PyTorch, within what float16 is allowed (the same fixtures run in float32 elsewhere, without a tuner).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeGpuDevice } from '../backend/node.ts'
import { createPlanEngine, type PlanEngine } from '../plan/plan-engine.ts'
import { expectWithin } from '../testing/close.ts'
import { fixtureJson, fixtures, fixtureTensors } from '../testing/fixtures.ts'
import { examplesOf, loadLlama, lossAndGradients, states, streamLlama } from '../testing/llama.ts'
import { PATIENCE_MS, withSmolLm2 } from '../testing/smollm2.ts'
import { VariantChooser } from '../testing/variant-chooser.ts'
import type { LlamaModel } from './model.ts'

const LOGITS = 5e-2
const LOSS = 2e-3
const COSINE = 0.999

const chooser = new VariantChooser()
let engine: PlanEngine | undefined

async function openHalf(): Promise<PlanEngine> {
  chooser.want('gatedHalf', 'tiled32Half', 'tiledHalf', 'tiled64Half')
  engine ??= createPlanEngine({ ...(await openNodeGpuDevice()), style: 'workgroup', tuner: chooser })
  return engine
}

afterAll(() => engine?.dispose())

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** Loss and gradients of the fixture's adapter on its masked examples. */
async function expectTraining(model: LlamaModel, folder: string, shape: { batch: number; tokens: number }) {
  const masked = fixtureTensors(`${folder}/loss.safetensors`)
  const examples = examplesOf(masked('input_ids'), masked('labels'), 2)
  const before = chooser.taken
  const adapter = fixtures.adapter(`${folder}/lora`)
  const { loss, gradients } = await lossAndGradients(model, examples, shape, adapter)
  expect(chooser.taken - before, 'products with tiles in float16').toBeGreaterThan(4 * model.config.layers)
  expectWithin([loss], [fixtureJson(`${folder}/lora/loss.json`).loss], LOSS, 'loss')
  const expected = fixtureTensors(`${folder}/lora/gradients.safetensors`)
  expect(gradients.size).toBeGreaterThan(0)
  for (const [name, gradient] of gradients)
    expect(cosine(gradient, expected(name)), name).toBeGreaterThan(COSINE)
}

const without = process.env.ONEROUND_TEST_GPU === 'none'

describe.skipIf(without)('nano with tiles in float16', () => {
  let model: LlamaModel
  beforeAll(async () => {
    model = loadLlama(await openHalf(), fixtures.modelFiles('nano')).model
  })
  afterAll(() => model?.dispose())

  it('logits', async (context) => {
    if (!engine!.halfTiles) context.skip(`${engine!.device} has no shader-f16`)
    const forward = fixtureTensors('nano/forward.safetensors')
    const { logits } = await states(model, forward('input_ids'), { batch: 2, tokens: 17 }, null)
    expectWithin(logits, forward('logits'), LOGITS, 'logits')
  })

  it('loss and gradients', async (context) => {
    if (!engine!.halfTiles) context.skip(`${engine!.device} has no shader-f16`)
    await expectTraining(model, 'nano', { batch: 2, tokens: 16 })
  })
})

withSmolLm2('SmolLM2-135M-Instruct with tiles in float16', (source) => {
  let model: LlamaModel
  beforeAll(async () => {
    if (!without) model = (await streamLlama(await openHalf(), source)).model
  }, PATIENCE_MS)
  afterAll(() => model?.dispose())

  it.skipIf(without)(
    'logits',
    async (context) => {
      if (!engine!.halfTiles) context.skip(`${engine!.device} has no shader-f16`)
      const expected = fixtureTensors('smollm2-135m/logits.safetensors')
      const { logits } = await states(model, expected('input_ids'), { batch: 1, tokens: 32 }, null)
      const last = logits.subarray(31 * model.config.vocabularySize)
      expectWithin(last, expected('last_logits'), LOGITS, 'last logits')
    },
    PATIENCE_MS,
  )

  it.skipIf(without)(
    'loss and gradients',
    async (context) => {
      if (!engine!.halfTiles) context.skip(`${engine!.device} has no shader-f16`)
      await expectTraining(model, 'smollm2-135m', { batch: 2, tokens: 47 })
    },
    PATIENCE_MS,
  )
})
