/**
 * Training SmolLM2-135M-Instruct against PyTorch and PEFT with the same dequantised weights: the loss and every
 * gradient of an adapter on q and v, and three AdamW steps; on wasm and on the plan engine, whose weights stay packed.
 */
import { expect, it } from 'vitest'
import type { Adapter } from '../adapters/adapter.ts'
import { expectNear, expectWithin } from '../testing/close.ts'
import { fixtureJson, fixtures, fixtureTensors } from '../testing/fixtures.ts'
import { examplesOf, lossAndGradients, steadySteps } from '../testing/llama.ts'
import { onSmolLm2, PATIENCE_MS } from '../testing/smollm2.ts'

const LOSS = 2e-4
/** Of a tensor's largest entry. */
const GRADIENT = 2e-3
const TRAINING_LOSS = 1e-3
const SHAPE = { batch: 2, tokens: 47 }

const examples = () => {
  const masked = fixtureTensors('smollm2-135m/loss.safetensors')
  return examplesOf(masked('input_ids'), masked('labels'), 2)
}

onSmolLm2('Training SmolLM2-135M-Instruct', (running) => {
  it(
    'loss and gradients of every A and B',
    async () => {
      const adapter = fixtures.adapter('smollm2-135m/lora')
      const { loss, gradients } = await lossAndGradients(running().model, examples(), SHAPE, adapter)
      expectWithin([loss], [fixtureJson('smollm2-135m/lora/loss.json').loss], LOSS, 'loss')
      const expected = fixtureTensors('smollm2-135m/lora/gradients.safetensors')
      // 30 layers, q and v, A and B.
      expect(gradients.size).toBe(120)
      for (const [name, gradient] of gradients) expectNear(gradient, expected(name), GRADIENT, name)
    },
    PATIENCE_MS,
  )

  it(
    'three AdamW steps',
    async () => {
      const run = fixtureJson('smollm2-135m/train.json')
      const { lr, betas, eps, weight_decay, clip_global_norm } = run.optimiser
      const { readings, lossAfter } = await steadySteps(
        running().model,
        examples(),
        SHAPE,
        withoutB(fixtures.adapter('smollm2-135m/lora')),
        {
          learningRate: lr,
          beta1: betas[0],
          beta2: betas[1],
          epsilon: eps,
          weightDecay: weight_decay,
          maxNorm: clip_global_norm,
        },
        run.loss.length,
      )
      expectWithin(
        readings.map(({ loss }) => loss),
        run.loss,
        TRAINING_LOSS,
        'losses',
      )
      expectNear(
        readings.map(({ gradientNorm }) => gradientNorm),
        run.gradient_norm,
        GRADIENT,
        'gradient norms',
      )
      expectWithin([lossAfter], [run.loss_after], TRAINING_LOSS, 'loss after the last step')
    },
    PATIENCE_MS,
  )
})

const withoutB = ({ modules }: Adapter): Adapter => ({
  modules: new Map(
    [...modules].map(([name, factors]) => [name, { ...factors, b: new Float32Array(factors.b.length) }]),
  ),
})
