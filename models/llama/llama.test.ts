/**
 * The Llama family on every engine against PyTorch, transformers and PEFT: hidden states, logits, losses, the
 * gradient of every A and B, and ten AdamW steps. Tolerances are those of the fixtures' READMEs.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Adapter, loraA, loraB } from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import { loadModel } from '../catalog/load.ts'
import { expectNear, expectWithin } from '../testing/close.ts'
import { fixtureAdapter, fixtureBytes, fixtureJson, fixtureTensors, modelFiles } from '../testing/fixtures.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import { placeAdapter, readAdapter } from '../training/engine-adapter.ts'
import type { BatchShape, EngineAdapter } from '../training/model.ts'
import type { Recipe } from '../training/recipe.ts'
import { hyperParameters } from '../training/schedule.ts'
import { meanLoss, TrainingStep } from '../training/step.ts'
import type { TextExample } from '../training/windows.ts'
import type { LlamaModel } from './model.ts'

const LOGITS = 1e-4
const LOSS = 1e-5
/** Of the tensor's largest entry. */
const GRADIENT = 1e-4
const TRAINING_LOSS = 1e-3
const FINAL_ADAPTER = 2e-3

/** Rows of ids cut into examples: a target that is -100 does not count. */
function examplesOf(ids: Float32Array, labels: Float32Array, rows: number): TextExample[] {
  const length = ids.length / rows
  return Array.from({ length: rows }, (_, row) => {
    const own = labels.subarray(row * length + 1, (row + 1) * length)
    const counts = Uint8Array.from(own, (label) => (label === -100 ? 0 : 1))
    return {
      ids: Int32Array.from(ids.subarray(row * length, (row + 1) * length)),
      counts,
      counted: counts.reduce((sum, count) => sum + count, 0),
    }
  })
}

/** Logits and hidden states of whole rows, as the fixtures have them. */
async function states(
  model: LlamaModel,
  ids: Float32Array,
  shape: BatchShape,
  adapter: EngineAdapter | null,
) {
  const rows = shape.batch * shape.tokens
  const hidden = Array.from({ length: model.config.layers + 2 }, (_, i) => `hidden${i}`)
  const program = await model.engine.program('states', model.inputs(shape), (ops, inputs) => {
    const all = model.hiddenStates(ops, inputs, shape, adapter)
    return {
      ...Object.fromEntries(all.map((tensor, i) => [`hidden${i}`, tensor])),
      logits: model.logits(ops, inputs, shape, adapter),
    }
  })
  const found = await program.run(
    {
      ids: Int32Array.from(ids),
      positions: Int32Array.from({ length: rows }, (_, row) => row % shape.tokens),
      targets: new Int32Array(rows),
      rowWeights: new Float32Array(rows),
    },
    ['logits', ...hidden],
  )
  program.dispose()
  return { logits: found.logits, hidden: hidden.map((name) => found[name]) }
}

async function lossOf(
  model: LlamaModel,
  examples: TextExample[],
  shape: BatchShape,
  adapter: EngineAdapter | null,
) {
  const program = await model.engine.program('loss', model.inputs(shape), (ops, inputs) => ({
    nll: model.loss(ops, inputs, shape, adapter),
  }))
  const batch = model.collate(examples, shape)
  const { nll } = await program.run(batch.inputs, ['nll'])
  program.dispose()
  return { nll, loss: meanLoss(nll, batch.counted), counted: batch.counted }
}

/** Loss and every gradient, through the same description that training runs. */
async function lossAndGradients(
  model: LlamaModel,
  examples: TextExample[],
  shape: BatchShape,
  adapter: Adapter,
) {
  const placed = placeAdapter(model.engine, adapter)
  const program = await model.engine.program('gradients', model.inputs(shape), (ops, inputs) => ({
    nll: model.lossAndGradients(ops, inputs, shape, placed),
  }))
  const batch = model.collate(examples, shape)
  const { nll } = await program.run(batch.inputs, ['nll'])
  const gradients = await placed.parameters.readGradients()
  program.dispose()
  placed.parameters.dispose()
  return { loss: meanLoss(nll, batch.counted), gradients }
}

/** Ten steps at a constant learning rate. */
async function tenSteps(
  model: LlamaModel,
  examples: TextExample[],
  shape: BatchShape,
  initial: Adapter,
  optimiser: Omit<Recipe, 'steps' | 'batch' | 'tokens' | 'warmupSteps' | 'evaluateEvery'>,
) {
  const placed = placeAdapter(model.engine, initial)
  const step = await TrainingStep.create(model, placed, shape)
  const batch = model.collate(examples, shape)
  const readings = []
  for (let at = 1; at <= 10; at++) {
    const recipe = {
      ...optimiser,
      ...shape,
      steps: Number.MAX_SAFE_INTEGER,
      warmupSteps: 0,
      evaluateEvery: 1,
    }
    readings.push(await step.runAndRead(batch, hyperParameters(recipe, at)))
  }
  const { loss } = await lossOf(model, examples, shape, placed)
  const adapter = await readAdapter(placed, initial)
  step.dispose()
  placed.parameters.dispose()
  return { readings, lossAfter: loss, adapter }
}

function expectAdapter(found: Adapter, expected: Adapter, tolerance: number): void {
  expect([...found.modules.keys()]).toEqual([...expected.modules.keys()])
  for (const [name, factors] of expected.modules) {
    expectWithin(found.modules.get(name)!.a, factors.a, tolerance, loraA(name))
    expectWithin(found.modules.get(name)!.b, factors.b, tolerance, loraB(name))
  }
}

function expectGradients(
  found: ReadonlyMap<string, Float32Array>,
  expected: (name: string) => Float32Array,
  adapter: Adapter,
): void {
  expect(found.size).toBe(2 * adapter.modules.size)
  for (const [name, gradient] of found) expectNear(gradient, expected(name), GRADIENT, name)
}

onEveryEngine('llama', (engine: () => Engine) => {
  describe.each(['nano', 'nano-untied'] as const)('%s', (name) => {
    const forward = fixtureTensors(`${name}/forward.safetensors`)
    const masked = fixtureTensors(`${name}/loss.safetensors`)
    const adapter = fixtureAdapter(`${name}/lora`)
    const examples = examplesOf(masked('input_ids'), masked('labels'), 2)
    const whole = { batch: 2, tokens: 17 }
    const shape = { batch: 2, tokens: 16 }
    let model: LlamaModel

    beforeAll(async () => {
      model = (await loadModel(engine(), modelFiles(name))).model
    })

    afterAll(() => model.dispose())

    it('hidden states and logits', async () => {
      const { logits, hidden } = await states(model, forward('input_ids'), whole, null)
      expect(hidden.length).toBe(4)
      expectWithin(hidden[0], forward('hidden.embed'), LOGITS, 'embed')
      expectWithin(hidden[1], forward('hidden.layer0'), LOGITS, 'layer0')
      expectWithin(hidden[2], forward('hidden.layer1'), LOGITS, 'layer1')
      expectWithin(hidden[3], forward('hidden.final'), LOGITS, 'final')
      expectWithin(logits, forward('logits'), LOGITS, 'logits')
    })

    it('padding changes nothing before it', async () => {
      const { logits } = await states(model, forward('padded.input_ids'), whole, null)
      const expected = forward('padded.logits')
      const vocabulary = expected.length / 34
      forward('padded.attention_mask').forEach((seen, row) => {
        const own = (values: Float32Array) => values.subarray(row * vocabulary, (row + 1) * vocabulary)
        if (seen) expectWithin(own(logits), own(expected), LOGITS, `row ${row}`)
      })
    })

    it('the masked loss, and each token of it', async () => {
      const { nll, loss, counted } = await lossOf(model, examples, shape, null)
      expect(counted).toBe(fixtureJson(`${name}/loss.json`).targets)
      expectWithin(nll, masked('token_nll'), LOGITS, 'token nll')
      expectWithin([loss], [fixtureJson(`${name}/loss.json`).loss], LOSS, 'loss')
    })

    it('logits with an adapter', async () => {
      const placed = placeAdapter(engine(), adapter)
      const lora = fixtureTensors(`${name}/lora/forward.safetensors`)
      const { logits } = await states(model, lora('input_ids'), whole, placed)
      expectWithin(logits, lora('logits'), LOGITS, 'logits')
      placed.parameters.dispose()
    })

    it('loss and gradients of every A and B', async () => {
      const { loss, gradients } = await lossAndGradients(model, examples, shape, adapter)
      expectWithin([loss], [fixtureJson(`${name}/lora/loss.json`).loss], LOSS, 'loss')
      expectGradients(gradients, fixtureTensors(`${name}/lora/gradients.safetensors`), adapter)
    })

    it('merged weights say the same as the adapter', async () => {
      const files = new Map(modelFiles(name))
      files.set('model.safetensors', fixtureBytes(`${name}/merged.safetensors`))
      const loaded = await loadModel(engine(), files)
      const lora = fixtureTensors(`${name}/lora/forward.safetensors`)
      const { logits } = await states(loaded.model, lora('input_ids'), whole, null)
      expectWithin(logits, lora('logits'), 2 * LOGITS, 'logits')
      loaded.dispose()
    })

    it('ten AdamW steps', async () => {
      const run = fixtureJson(`${name}/train.json`)
      const { lr, betas, eps, weight_decay, clip_global_norm } = run.optimiser
      const found = await tenSteps(model, examples, shape, fixtureAdapter(`${name}/train/initial`), {
        learningRate: lr,
        beta1: betas[0],
        beta2: betas[1],
        epsilon: eps,
        weightDecay: weight_decay,
        maxNorm: clip_global_norm,
      })
      expectWithin(
        found.readings.map(({ loss }) => loss),
        run.loss,
        TRAINING_LOSS,
        'losses',
      )
      expectWithin(
        found.readings.map(({ gradientNorm }) => gradientNorm),
        run.gradient_norm,
        1e-2,
        'gradient norms',
      )
      expectWithin([found.lossAfter], [run.loss_after], TRAINING_LOSS, 'loss after')
      expectAdapter(found.adapter, fixtureAdapter(`${name}/train/final`), FINAL_ADAPTER)
    })
  })
})
