/** What the fixtures' tests ask of a Llama: its states, losses, gradients and ten training steps. */
import type { Adapter } from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import { type LoadedModel, type LoadProgress, loadModel, streamModel } from '../catalog/load.ts'
import type { ModelFiles, ModelSources } from '../catalog/model-files.ts'
import type { TextModel } from '../families/family.ts'
import type { ByteSource } from '../formats/byte-source.ts'
import { LlamaModel } from '../llama/model.ts'
import type { TextExample } from '../text/windows.ts'
import { placeAdapter, readAdapter } from '../training/engine-adapter.ts'
import type { BatchShape, EngineAdapter } from '../training/model.ts'
import type { Recipe } from '../training/recipe.ts'
import { hyperParameters } from '../training/schedule.ts'
import { meanLoss, TrainingStep } from '../training/step.ts'

export interface LoadedLlama extends TextModel {
  readonly model: LlamaModel
}

/** The same as what it is; throws where it is another family's. */
export function asLlama(loaded: LoadedModel): LoadedLlama {
  const { model } = loaded
  if (loaded.medium !== 'text' || !(model instanceof LlamaModel)) throw new Error('this is no Llama')
  return { ...loaded, model }
}

export const loadLlama = (engine: Engine, files: ModelFiles): LoadedLlama => asLlama(loadModel(engine, files))

export const streamLlama = async (
  engine: Engine,
  files: ModelSources | ByteSource,
  onProgress?: (progress: LoadProgress) => void,
): Promise<LoadedLlama> => asLlama(await streamModel(engine, files, onProgress))

/** Rows of ids cut into examples: a target that is -100 does not count. */
export function examplesOf(ids: Float32Array, labels: Float32Array, rows: number): TextExample[] {
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
export async function states(
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
      segments: new Int32Array(rows),
      targets: new Int32Array(rows),
      rowWeights: new Float32Array(rows),
    },
    ['logits', ...hidden],
  )
  program.dispose()
  return { logits: found.logits, hidden: hidden.map((name) => found[name]) }
}

export async function lossOf(
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
export async function lossAndGradients(
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
  placed.dispose()
  return { loss: meanLoss(nll, batch.counted), gradients }
}

/** Steps at a constant learning rate, ten if not said otherwise. */
export async function steadySteps(
  model: LlamaModel,
  examples: TextExample[],
  shape: BatchShape,
  initial: Adapter,
  optimiser: Omit<Recipe, 'steps' | 'batch' | 'tokens' | 'warmupSteps' | 'evaluateEvery'>,
  steps = 10,
) {
  const placed = placeAdapter(model.engine, initial)
  const step = await TrainingStep.create(model, placed, shape)
  const batch = model.collate(examples, shape)
  const readings = []
  for (let at = 1; at <= steps; at++) {
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
  placed.dispose()
  return { readings, lossAfter: loss, adapter }
}
