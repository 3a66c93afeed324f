/** Text-to-image diffusion transformers as the rest of the project sees them: captions in, pictures out. */
import type { Adapter } from '../adapters/adapter.ts'
import { DataError } from '../errors.ts'
import type { DrawOptions, EagerMemory, Family, ModelSpec, PictureModel } from '../families/family.ts'
import { splitByContent } from '../training/holdout.ts'
import type { BatchShape } from '../training/model.ts'
import { type CaptionTokenizer, captionTokenizer } from './captions.ts'
import { CHANNELS, type DiffusionConfig, MODEL_TYPE, parseDiffusionConfig, sequenceLength } from './config.ts'
import { toPixels } from './flow.ts'
import { DiffusionModel, keptBytes, MAX_KEPT_BYTES } from './model.ts'
import { diffusionModules, projections } from './modules.ts'
import { normalNoise } from './noise.ts'
import { sample } from './sample.ts'
import { placingDiffusion } from './weights.ts'

/** As the embedded model's federated reference run trains. */
const STEPS = 200
const BATCH = 16
const LEARNING_RATE = 1e-3
const WARMUP = 10

/** Held-out loss is measured this many times a run: four passes a picture, so seldom. */
const EVALUATIONS = 4

export const diffusionFamily: Family = {
  id: MODEL_TYPE,
  reads: ({ model_type }) => model_type === MODEL_TYPE,
  fromConfig: (config) => diffusionSpec(parseDiffusionConfig(config)),
}

function diffusionSpec(config: DiffusionConfig): ModelSpec {
  const rows = sequenceLength(config)
  const spec: ModelSpec = {
    family: MODEL_TYPE,
    medium: 'pictures',
    modules: diffusionModules(config),
    targets: projections(config),
    tokens: { usual: rows, most: rows, chosen: false },
    recipe({ steps = STEPS, batch = BATCH, learningRate = LEARNING_RATE }) {
      // The rate rises, stays, and falls over the second half.
      const warmupSteps = Math.min(WARMUP, Math.floor(steps / 4))
      return {
        steps,
        batch,
        tokens: rows,
        learningRate,
        warmupSteps,
        holdSteps: Math.floor(steps / 2) - warmupSteps,
        weightDecay: 0,
        maxNorm: 1,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        evaluateEvery: Math.max(1, Math.round(steps / EVALUATIONS)),
      }
    },
    eagerMemory: (work) => eagerMemory(config, work),
    *placing(placer) {
      const weights = yield* placingDiffusion(config, placer)
      return (engine) => new DiffusionModel(engine, config, weights)
    },
    opening(files) {
      if (!files) throw new RangeError('a folder has a tokenizer')
      const captions = captionTokenizer(files.tokenizer, config)
      return (model) => {
        if (!(model instanceof DiffusionModel)) throw new TypeError('a model of another family')
        return pictureModel(spec, model, captions)
      }
    },
    gguf: null,
  }
  return spec
}

function pictureModel(spec: ModelSpec, model: DiffusionModel, captions: CaptionTokenizer): PictureModel {
  const { imageSize: side } = model.config
  return {
    medium: 'pictures',
    spec,
    model,
    side,
    vocabularyDigest: captions.vocabularyDigest,
    // By what is seen: a picture under two captions never stands on both sides.
    split: (examples) => splitByContent(examples, ({ pixels }) => [pixels]),
    example(picture) {
      if (picture.side !== side || picture.pixels.length !== side * side * CHANNELS) {
        throw new DataError(
          'pictures/side',
          `A picture has ${picture.side} pixels along its edge, this model takes ${side}; let the reader resize it.`,
        )
      }
      return { counted: 1, pixels: picture.pixels, ids: captions.encode(picture.caption) }
    },
    draw: (options) => draw(model, captions, options),
    dispose: () => model.dispose(),
  }
}

async function* draw(
  model: DiffusionModel,
  captions: CaptionTokenizer,
  { captions: texts, seed, ...options }: DrawOptions & { adapter: Adapter | null },
) {
  const numbers = model.config.imageSize ** 2 * CHANNELS
  const states = sample({
    ...options,
    model,
    captions: texts.map((text) => captions.encode(text)),
    noise: texts.map((_, i) => normalNoise(seed, `picture ${i}`, numbers)),
  })
  for await (const { step, steps, pictures } of states) {
    yield { step, steps, pictures: () => pictures.map(toPixels) }
  }
}

/** All of attention's [rows, rows], each block's input and what is kept of it, and one block's tensors forward and backward. */
function eagerMemory(
  config: DiffusionConfig,
  { batch, trained }: BatchShape & { trained: boolean },
): EagerMemory {
  const { hiddenSize: hidden, intermediateSize: intermediate, heads, headDim, layers } = config
  const each = sequenceLength(config)
  const rows = batch * each
  const scores = 4 * batch * heads * each * each
  const kept = keptBytes(config, batch)
  const block = 4 * rows * (10 * hidden + 9 * heads * headDim + 6 * intermediate) + 4 * scores
  return {
    constantBytes: 0,
    stepBytes:
      4 * rows * hidden * (trained ? layers + 2 : 2) + block + (trained && kept <= MAX_KEPT_BYTES ? kept : 0),
    largestBytes: Math.max(scores, 4 * rows * intermediate),
  }
}
