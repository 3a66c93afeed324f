/**
 * The Llama family held against PyTorch, transformers and PEFT: each case runs a model on whatever engine it is on
 * and measures how far the outcome is from a fixture. Measuring alone, without a test runner: the same cases run in
 * Node's unit tests and inside a browser's worker, and what they find is judged by `tolerances.ts` in the tests.
 */
import { type Adapter, loraA, loraB } from '../adapters/adapter.ts'
import { loadModel } from '../catalog/load.ts'
import type { LlamaModel } from '../llama/model.ts'
import { placeAdapter } from '../training/engine-adapter.ts'
import { furthest, largest } from './distance.ts'
import type { FixtureSet } from './fixture-set.ts'
import { examplesOf, lossAndGradients, lossOf, states, steadySteps } from './llama.ts'
import type { Numbers } from './reference.ts'

/** What is compared; each has a tolerance of its own. */
export type Quantity =
  | 'hidden states'
  | 'logits'
  | 'merged logits'
  | 'counted targets'
  | 'token losses'
  | 'loss'
  | 'gradient'
  | 'training loss'
  | 'gradient norm'
  | 'final adapter'

export interface Comparison {
  readonly quantity: Quantity
  /** Which of its kind, such as a tensor's name. */
  readonly name: string
  /** The furthest entry's distance; of a gradient in parts of its largest entry. Infinity for what is not a number. */
  readonly error: number
}

export interface CaseContext {
  readonly model: LlamaModel
  readonly fixtures: FixtureSet
}

/** By what each case shows. */
export type Cases = Readonly<Record<string, (context: CaseContext) => Promise<Comparison[]>>>

function compare(quantity: Quantity, name: string, actual: Numbers, expected: Numbers): Comparison {
  if (expected.length === 0) throw new Error(`the fixture's ${quantity} ${name} are empty`)
  return { quantity, name, error: furthest(actual, expected) }
}

function compareGradients(
  found: ReadonlyMap<string, Float32Array>,
  expected: (name: string) => Float32Array,
  adapter: Adapter,
): Comparison[] {
  const names = [...adapter.modules.keys()].flatMap((name) => [loraA(name), loraB(name)])
  if (found.size !== names.length) throw new Error(`${found.size} gradients instead of ${names.length}`)
  return names.map((name) => {
    const { error } = compare('gradient', name, found.get(name) ?? [], expected(name))
    return { quantity: 'gradient', name, error: error / Math.max(largest(expected(name)), 1e-6) }
  })
}

function compareAdapters(found: Adapter, expected: Adapter): Comparison[] {
  if ([...found.modules.keys()].join() !== [...expected.modules.keys()].join()) {
    throw new Error('the adapter has other modules than the fixture')
  }
  return [...expected.modules].flatMap(([name, { a, b }]) => {
    const own = found.modules.get(name)!
    return [compare('final adapter', loraA(name), own.a, a), compare('final adapter', loraB(name), own.b, b)]
  })
}

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
      const merged = loadModel(model.engine, files)
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

function compareSteps(
  readings: ReadonlyArray<{ loss: number; gradientNorm: number }>,
  losses: Numbers,
  norms: Numbers,
): Comparison[] {
  const loss = readings.map((reading) => reading.loss)
  const norm = readings.map((reading) => reading.gradientNorm)
  return [
    compare('training loss', 'of every step', loss, losses),
    compare('gradient norm', 'of every step', norm, norms),
  ]
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

export const casesOf = (model: 'nano' | 'nano-untied' | 'tiny'): Cases =>
  model === 'tiny' ? tinyCases() : nanoCases(model)
