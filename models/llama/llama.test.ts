/**
 * The Llama family on every engine against PyTorch, transformers and PEFT: hidden states, logits, losses, the
 * gradient of every A and B, and ten AdamW steps. Tolerances are those of the fixtures' READMEs.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadModel } from '../catalog/load.ts'
import { expectWithin } from '../testing/close.ts'
import { fixtureAdapter, fixtureBytes, fixtureJson, fixtureTensors, modelFiles } from '../testing/fixtures.ts'
import {
  examplesOf,
  expectAdapter,
  expectGradients,
  lossAndGradients,
  lossOf,
  states,
  tenSteps,
} from '../testing/llama.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import { placeAdapter } from '../training/engine-adapter.ts'
import type { LlamaModel } from './model.ts'

const LOGITS = 1e-4
const LOSS = 1e-5
const TRAINING_LOSS = 1e-3
const FINAL_ADAPTER = 2e-3

/** A software adapter compiles the kernels of a whole step in tens of seconds when the machine is busy. */
vi.setConfig({ testTimeout: 120_000 })

onEveryEngine(
  'llama',
  (engine) => {
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
  },
  'one',
)
