/**
 * The diffusion transformer held against PyTorch and PEFT, as `llama-fixtures.ts`: its hidden states, velocity, loss,
 * gradients, ten training steps and sampled pictures.
 */
import type { Adapter } from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import { parseDiffusionConfig } from '../diffusion/config.ts'
import { mixed, toPixels } from '../diffusion/flow.ts'
import { DiffusionModel } from '../diffusion/model.ts'
import { sample } from '../diffusion/sample.ts'
import { parseSafetensors, toFloat32 } from '../formats/safetensors.ts'
import { placeAdapter, readAdapter } from '../training/engine-adapter.ts'
import type { EngineAdapter } from '../training/model.ts'
import { hyperParameters } from '../training/schedule.ts'
import { meanLoss, TrainingStep } from '../training/step.ts'
import {
  type Comparison,
  compare,
  compareGradients,
  compareInParts,
  compareSteps,
  mostOf,
} from './comparison.ts'
import type { DiffusionFixture, FixtureSet } from './fixture-set.ts'

export interface DiffusionContext {
  readonly model: DiffusionModel
  readonly fixtures: FixtureSet
}

export type DiffusionCases = Readonly<Record<string, (context: DiffusionContext) => Promise<Comparison[]>>>

/** A fixture's model: the nano one has no tokenizer. */
export function openDiffusionFixture(
  engine: Engine,
  fixtures: FixtureSet,
  name: DiffusionFixture,
): DiffusionModel {
  const files = fixtures.modelFiles(name)
  const config = parseDiffusionConfig(JSON.parse(new TextDecoder().decode(files.get('config.json')!)))
  const { tensors } = parseSafetensors(files.get('model.safetensors')!)
  return new DiffusionModel(engine, config, (tensor) => {
    const found = tensors.get(tensor)
    return found && { shape: found.shape, values: toFloat32(found) }
  })
}

type Tensors = (name: string) => Float32Array

const rowsOf = (values: Float32Array, rows: number) => {
  const width = values.length / rows
  return Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width))
}

/** As many as the fixtures have pictures. */
const PICTURES = 2

const captionsOf = (given: Tensors) => rowsOf(given('ids'), PICTURES).map((ids) => Int32Array.from(ids))

/** Pictures [pictures, side, side, 3] of patches in the model's layout. */
function joined({ patches }: DiffusionModel, values: Float32Array): Float32Array {
  const pictures = new Float32Array(values.length)
  for (let at = 0; at < values.length; at += patches.length) pictures.set(patches.join(values, at), at)
  return pictures
}

/** The loss's pictures laid out: they are float32, so not by way of pixels. */
function lossBatch(model: DiffusionModel, given: Tensors) {
  const inputs = model.emptyInputs(PICTURES)
  const { length } = model.patches
  const velocity = new Float32Array(PICTURES * length)
  const [images, noises] = [rowsOf(given('image'), PICTURES), rowsOf(given('noise'), PICTURES)]
  captionsOf(given).forEach((ids, i) => {
    const time = given('t')[i]
    const mix = mixed(images[i], noises[i], time)
    model.layOut(inputs, i, ids, time, mix.x)
    model.patches.cut(mix.velocity, velocity, i * length)
  })
  const weights = new Float32Array(PICTURES).fill(1 / PICTURES)
  return { inputs: { ...inputs, velocity, weights }, counted: PICTURES, processed: PICTURES }
}

const shapeOf = () => ({ batch: PICTURES, tokens: 1 })

async function lossOf(model: DiffusionModel, given: Tensors, adapter: EngineAdapter | null) {
  const program = await model.engine.program('loss', model.inputs(shapeOf()), (ops, inputs) => ({
    loss: model.loss(ops, inputs, shapeOf(), adapter),
  }))
  const { loss } = await program.run(lossBatch(model, given).inputs, ['loss'])
  program.dispose()
  return { each: loss, loss: meanLoss(loss, PICTURES) }
}

async function velocityOf(model: DiffusionModel, given: Tensors, adapter: Adapter) {
  const placed = placeAdapter(model.engine, adapter)
  const program = await model.engine.program('velocity', model.inputs(shapeOf()), (ops, inputs) => ({
    velocity: model.velocity(ops, inputs, PICTURES, placed),
  }))
  const { velocity } = await program.run(lossBatch(model, given).inputs, ['velocity'])
  program.dispose()
  placed.dispose()
  return joined(model, velocity)
}

async function gradientsOf(model: DiffusionModel, given: Tensors, adapter: Adapter) {
  const placed = placeAdapter(model.engine, adapter)
  const hidden = Array.from({ length: model.config.layers }, (_, i) => `hidden${i}`)
  const program = await model.engine.program('gradients', model.inputs(shapeOf()), (ops, inputs) => {
    const found = model.gradients(ops, inputs, shapeOf(), placed)
    return {
      loss: found.loss,
      final: found.final,
      ...Object.fromEntries(
        found.hidden.map((tensor, i) => [`hidden${model.config.layers - 1 - i}`, tensor]),
      ),
    }
  })
  const found = await program.run(lossBatch(model, given).inputs, ['loss', 'final', ...hidden])
  const gradients = await placed.parameters.readGradients()
  program.dispose()
  placed.dispose()
  return { loss: meanLoss(found.loss, PICTURES), gradients, found }
}

async function tenSteps(model: DiffusionModel, given: Tensors, initial: Adapter, run: TrainJson) {
  const placed = placeAdapter(model.engine, initial)
  const step = await TrainingStep.create(model, placed, shapeOf())
  const recipe = {
    ...shapeOf(),
    steps: Number.MAX_SAFE_INTEGER,
    warmupSteps: 0,
    evaluateEvery: 1,
    learningRate: run.lr,
    beta1: run.betas[0],
    beta2: run.betas[1],
    epsilon: run.eps,
    weightDecay: run.weight_decay,
    maxNorm: run.max_gradient_norm,
  }
  const readings = []
  const batch = lossBatch(model, given)
  for (let at = 1; at <= run.steps; at++) {
    readings.push(await step.runAndRead(batch, hyperParameters(recipe, at)))
  }
  const { loss } = await lossOf(model, given, placed)
  const adapter = await readAdapter(placed, initial)
  step.dispose()
  placed.dispose()
  return { readings, lossAfter: loss, adapter }
}

interface TrainJson {
  readonly steps: number
  readonly lr: number
  readonly betas: readonly [number, number]
  readonly eps: number
  readonly weight_decay: number
  readonly max_gradient_norm: number
  readonly loss: readonly number[]
  readonly gradient_norm: readonly number[]
  readonly loss_after: number
}

/** Adam divides by tiny second moments: a few entries of the final adapter may be further off than the rest. */
function compareFinal(found: Adapter, expected: Adapter): Comparison[] {
  if ([...found.modules.keys()].sort().join() !== [...expected.modules.keys()].sort().join()) {
    throw new Error('the adapter has other modules than the fixture')
  }
  const pairs = [...expected.modules].flatMap(([name, { a, b }]) => {
    const own = found.modules.get(name)!
    return [[own.a, a] as const, [own.b, b] as const]
  })
  const all = (index: 0 | 1) => pairs.flatMap((pair) => [...pair[index]])
  return [
    compare('final adapter, furthest', 'of every factor', all(0), all(1)),
    { quantity: 'final adapter, 99 of 100', name: 'of every factor', error: mostOf(all(0), all(1)) },
  ]
}

export function diffusionCases(name: DiffusionFixture): DiffusionCases {
  const withAdapter =
    (folder: 'lora' | 'lora-all'): DiffusionCases[string] =>
    async ({ model, fixtures }) => {
      const given = fixtures.tensors(`${name}/loss.safetensors`)
      const adapter = fixtures.adapter(`${name}/${folder}`)
      const forward = fixtures.tensors(`${name}/${folder}/forward.safetensors`)('velocity')
      const { loss, gradients, found } = await gradientsOf(model, given, adapter)
      const comparisons = [
        compare('velocity', `with ${folder}`, await velocityOf(model, given, adapter), forward),
        compare('loss', `with ${folder}`, [loss], [fixtures.json(`${name}/${folder}/loss.json`).loss]),
        ...compareGradients(gradients, fixtures.tensors(`${name}/${folder}/gradients.safetensors`), adapter),
      ]
      if (name !== 'emoji-dit-nano') return comparisons
      const hidden = fixtures.tensors(`${name}/${folder}/hidden_gradients.safetensors`)
      const layers = Array.from({ length: model.config.layers }, (_, layer) => `layer${layer}`)
      for (const [i, layer] of layers.entries()) {
        comparisons.push(compareInParts('gradient', layer, found[`hidden${i}`], hidden(`hidden.${layer}`)))
      }
      return [...comparisons, compareInParts('gradient', 'final', found.final, hidden('hidden.final'))]
    }

  return {
    async 'time features, condition, residual stream and velocity'({ model, fixtures }) {
      const given = fixtures.tensors(`${name}/forward.safetensors`)
      const inputs = model.emptyInputs(PICTURES)
      const pictures = rowsOf(given('x_t'), PICTURES)
      captionsOf(given).forEach((ids, i) => {
        model.layOut(inputs, i, ids, given('t')[i], pictures[i])
      })
      const names = ['embed', ...Array.from({ length: model.config.layers }, (_, i) => `layer${i}`)]
      const program = await model.engine.program('states', model.velocityInputs(PICTURES), (ops, tensors) => {
        const { condition, states, normed, velocity } = model.hiddenStates(ops, tensors, PICTURES, null)
        return {
          condition,
          final: normed,
          velocity,
          ...Object.fromEntries(states.map((tensor, i) => [names[i], tensor])),
        }
      })
      const found = await program.run(inputs, ['condition', 'velocity', 'final', ...names])
      program.dispose()
      return [
        compare('time features', 'of both', inputs.time, given('time_features')),
        compare('condition', 'of both', found.condition, given('condition')),
        ...[...names, 'final'].map((layer) =>
          compareInParts('residual stream', layer, found[layer], given(`hidden.${layer}`)),
        ),
        compare('velocity', 'of both', joined(model, found.velocity), given('velocity')),
      ]
    },

    async 'the loss of each picture'({ model, fixtures }) {
      const given = fixtures.tensors(`${name}/loss.safetensors`)
      const { each, loss } = await lossOf(model, given, null)
      return [
        compare('loss', 'each', each, given('loss_each')),
        compare('loss', 'mean', [loss], [fixtures.json(`${name}/loss.json`).loss]),
      ]
    },

    'loss and gradients of every A and B': withAdapter('lora'),
    ...(name === 'emoji-dit-nano' && {
      'the same with the modulation trained': withAdapter('lora-all'),
    }),

    async 'ten AdamW steps'({ model, fixtures }) {
      const run: TrainJson = fixtures.json(`${name}/train.json`)
      const given = fixtures.tensors(`${name}/loss.safetensors`)
      const found = await tenSteps(model, given, fixtures.adapter(`${name}/train/initial`), run)
      return [
        ...compareSteps(found.readings, run.loss, run.gradient_norm),
        compare('training loss', 'after the last step', [found.lossAfter], [run.loss_after]),
        ...compareFinal(found.adapter, fixtures.adapter(`${name}/train/final`)),
      ]
    },

    async 'ten Euler steps, without and with guidance'({ model, fixtures }) {
      const given = fixtures.tensors(`${name}/sample.safetensors`)
      const trajectory = rowsOf(given('trajectory'), 11)
      const comparisons: Comparison[] = []
      for (const [guidance, suffix] of [
        [1, ''],
        [3, '_guided'],
      ] as const) {
        const noise = rowsOf(given('noise'), PICTURES)
        const options = { model, adapter: null, captions: captionsOf(given), noise, steps: 10, guidance }
        let end: Float32Array[] = []
        for await (const { step, pictures } of sample(options)) {
          end = [...pictures]
          const all = Float32Array.from(pictures.flatMap((picture) => [...picture]))
          if (guidance === 1) comparisons.push(compare('picture', `step ${step}`, all, trajectory[step]))
        }
        const all = Float32Array.from(end.flatMap((picture) => [...picture]))
        const expected = given(`picture${suffix}`)
        comparisons.push(
          compare('picture', `guidance ${guidance}`, all, expected),
          compare('pixels', `guidance ${guidance}`, toPixels(all), given(`pixels${suffix}`)),
        )
      }
      return comparisons
    },
  }
}
