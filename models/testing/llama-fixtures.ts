/**
 * The Llama family held against PyTorch, transformers and PEFT: each case runs a model on whatever engine it is on
 * and measures how far the outcome is from a fixture. Measuring alone, without a test runner: the same cases run in
 * Node's unit tests and inside a browser's worker, and what they find is judged by `tolerances.ts` in the tests.
 */
import type { LlamaModel } from '../llama/model.ts'
import { placeAdapter } from '../training/engine-adapter.ts'
import { type Comparison, compare, compareAdapters, compareGradients, compareSteps } from './comparison.ts'
import type { FixtureSet, LlamaFixture } from './fixture-set.ts'
import { examplesOf, loadLlama, lossAndGradients, lossOf, states, steadySteps } from './llama.ts'

export interface CaseContext {
  readonly model: LlamaModel
  readonly fixtures: FixtureSet
}

/** By what each case shows. */
export type Cases = Readonly<Record<string, (context: CaseContext) => Promise<Comparison[]>>>

/** The cases of `nano` and `nano-untied`. */
export function nanoCases(name: 'nano' | 'nano-untied'): Cases {
  const whole = { batch: 2, tokens: 17 }
  const shape = { batch: 2, tokens: 16 }
  const examples = (fixtures: FixtureSet) => {
    const masked = fixtures.tensors(`${name}/loss.safetensors`)
    return examplesOf(masked('input_ids'), masked('labels'), 2)
  }
  return {
    async 'hidden states and logits'({ model, fixtures }) {
      const forward = fixtures.tensors(`${name}/forward.safetensors`)
      const { logits, hidden } = await states(model, forward('input_ids'), whole, null)
      const names = ['embed', 'layer0', 'layer1', 'final']
      if (hidden.length !== names.length) throw new Error(`${hidden.length} hidden states`)
      return [
        ...names.map((layer, i) => compare('hidden states', layer, hidden[i], forward(`hidden.${layer}`))),
        compare('logits', 'of every row', logits, forward('logits')),
      ]
    },

    async 'padding changes nothing before it'({ model, fixtures }) {
      const forward = fixtures.tensors(`${name}/forward.safetensors`)
      const { logits } = await states(model, forward('padded.input_ids'), whole, null)
      const expected = forward('padded.logits')
      const seen = forward('padded.attention_mask')
      const vocabulary = expected.length / seen.length
      const own = (values: Float32Array, row: number) =>
        values.subarray(row * vocabulary, (row + 1) * vocabulary)
      return [...seen.keys()]
        .filter((row) => seen[row] === 1)
        .map((row) => compare('logits', `row ${row}`, own(logits, row), own(expected, row)))
    },

    async 'the masked loss, and each token of it'({ model, fixtures }) {
      const expected = fixtures.json(`${name}/loss.json`)
      const nll = fixtures.tensors(`${name}/loss.safetensors`)('token_nll')
      const found = await lossOf(model, examples(fixtures), shape, null)
      return [
        compare('counted targets', 'of both rows', [found.counted], [expected.targets]),
        compare('token losses', 'of both rows', found.nll, nll),
        compare('loss', 'mean', [found.loss], [expected.loss]),
      ]
    },

    async 'logits with an adapter'({ model, fixtures }) {
      const placed = placeAdapter(model.engine, fixtures.adapter(`${name}/lora`))
      const lora = fixtures.tensors(`${name}/lora/forward.safetensors`)
      const { logits } = await states(model, lora('input_ids'), whole, placed)
      placed.dispose()
      return [compare('logits', 'with an adapter', logits, lora('logits'))]
    },

    async 'loss and gradients of every A and B'({ model, fixtures }) {
      const adapter = fixtures.adapter(`${name}/lora`)
      const { loss, gradients } = await lossAndGradients(model, examples(fixtures), shape, adapter)
      return [
        compare('loss', 'with an adapter', [loss], [fixtures.json(`${name}/lora/loss.json`).loss]),
        ...compareGradients(gradients, fixtures.tensors(`${name}/lora/gradients.safetensors`), adapter),
      ]
    },

    async 'merged weights say the same as the adapter'({ model, fixtures }) {
      const files = new Map(fixtures.modelFiles(name))
      files.set('model.safetensors', fixtures.bytes(`${name}/merged.safetensors`))
      const merged = loadLlama(model.engine, files)
      const lora = fixtures.tensors(`${name}/lora/forward.safetensors`)
      const { logits } = await states(merged.model, lora('input_ids'), whole, null)
      merged.dispose()
      return [compare('merged logits', 'of every row', logits, lora('logits'))]
    },

    async 'ten AdamW steps'({ model, fixtures }) {
      const run = fixtures.json(`${name}/train.json`)
      const { lr, betas, eps, weight_decay, clip_global_norm } = run.optimiser
      const found = await steadySteps(
        model,
        examples(fixtures),
        shape,
        fixtures.adapter(`${name}/train/initial`),
        {
          learningRate: lr,
          beta1: betas[0],
          beta2: betas[1],
          epsilon: eps,
          weightDecay: weight_decay,
          maxNorm: clip_global_norm,
        },
      )
      return [
        ...compareSteps(found.readings, run.loss, run.gradient_norm),
        compare('training loss', 'after the last step', [found.lossAfter], [run.loss_after]),
        ...compareAdapters(found.adapter, fixtures.adapter(`${name}/train/final`)),
      ]
    },
  }
}

/** The cases of the embedded model. */
export function tinyCases(): Cases {
  const shape = { batch: 2, tokens: 48 }
  const idsOf = (fixtures: FixtureSet) => fixtures.tensors('tiny/forward.safetensors')('input_ids')
  const examples = (fixtures: FixtureSet) => {
    const ids = idsOf(fixtures)
    return examplesOf(ids, ids, 2)
  }
  return {
    async logits({ model, fixtures }) {
      const { logits } = await states(model, idsOf(fixtures), { batch: 2, tokens: 49 }, null)
      const expected = fixtures.tensors('tiny/forward.safetensors')('logits')
      return [compare('logits', 'of every row', logits, expected)]
    },

    async 'loss and gradients of every A and B'({ model, fixtures }) {
      const adapter = fixtures.adapter('tiny/lora')
      const { loss, gradients } = await lossAndGradients(model, examples(fixtures), shape, adapter)
      return [
        compare('loss', 'with an adapter', [loss], [fixtures.json('tiny/train.json').loraLoss]),
        ...compareGradients(gradients, fixtures.tensors('tiny/lora/gradients.safetensors'), adapter),
      ]
    },

    async 'ten AdamW steps'({ model, fixtures }) {
      const run = fixtures.json('tiny/train.json')
      const found = await steadySteps(
        model,
        examples(fixtures),
        shape,
        fixtures.adapter('tiny/train/start'),
        {
          learningRate: run.lr,
          beta1: run.betas[0],
          beta2: run.betas[1],
          epsilon: run.eps,
          weightDecay: run.weightDecay,
          maxNorm: run.clip,
        },
      )
      const steps: { loss: number; gradNorm: number }[] = run.steps
      return [
        ...compareSteps(
          found.readings,
          steps.map(({ loss }) => loss),
          steps.map(({ gradNorm }) => gradNorm),
        ),
        ...compareAdapters(found.adapter, fixtures.adapter('tiny/train/end')),
      ]
    },
  }
}

export const llamaCases = (model: LlamaFixture): Cases => (model === 'tiny' ? tinyCases() : nanoCases(model))
