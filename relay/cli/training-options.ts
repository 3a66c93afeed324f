/** The options that shape a training run, shared by `host` and `train`, and their defaults. */
import type { AdapterForm } from '../../models/adapters/adapter.ts'
import type { ModelSpec } from '../../models/families/family.ts'
import { DEFAULT_RECIPE } from '../../models/training/recipe.ts'
import { MAX_RANK, type Recipe } from '../protocol/index.ts'
import type { Arguments, OptionSpecs } from './args.ts'
import { UsageError } from './errors.ts'

/** As in the paper's experiments, on all seven projections. */
const DEFAULT_RANK = 8
const DEFAULT_ALPHA = 16

export const TRAINING_OPTIONS: OptionSpecs = {
  rank: { type: 'string', value: 'N', help: `the adapter's rank, default ${DEFAULT_RANK}` },
  alpha: {
    type: 'string',
    value: 'X',
    help: `its alpha: the scale is alpha / rank, default ${DEFAULT_ALPHA}`,
  },
  form: {
    type: 'string',
    value: 'F',
    help: 'what is trained: lora (A and B), ffa (B alone), lora-sb (a small core alone), default lora',
  },
  steps: {
    type: 'string',
    value: 'N',
    help: `optimiser steps, default ${DEFAULT_RECIPE.steps}; of a model that draws pictures 200`,
  },
  batch: { type: 'string', value: 'N', help: 'windows of text a step, default 4; or pictures, default 16' },
  length: {
    type: 'string',
    value: 'N',
    help: 'tokens a window of text predicts, default 256 or what the model takes',
  },
  'learning-rate': {
    type: 'string',
    value: 'X',
    help: `peak, then linear decay to zero, default ${DEFAULT_RECIPE.learningRate}; of a model that draws pictures 0.001`,
  },
}

/** Options that change what is trained: a room that exists cannot take others. */
export const TRAINING_OPTION_NAMES: readonly string[] = Object.keys(TRAINING_OPTIONS)

const FORMS: readonly AdapterForm[] = ['lora', 'ffa', 'lora-sb']

export function adapterOptions(args: Arguments): { form: AdapterForm; rank: number; alpha: number } {
  return {
    form: args.choice('form', FORMS) ?? 'lora',
    rank: args.integer('rank', { least: 1, most: MAX_RANK }) ?? DEFAULT_RANK,
    alpha: args.number('alpha', { least: 1e-3, most: 1e6 }) ?? DEFAULT_ALPHA,
  }
}

/** `--length`, or the default where the model takes so much. */
export function windowLength(args: Arguments, { tokens }: ModelSpec): number {
  const length = args.integer('length', { least: 1, most: 131_072 })
  if (length !== undefined && !tokens.chosen) {
    throw new UsageError('--length is for text: a picture is as long as the model makes it.')
  }
  if (length !== undefined && length > tokens.most) {
    throw new UsageError(`--length ${length} is more than this model's ${tokens.most} positions.`)
  }
  return length ?? tokens.usual
}

export function recipeOf(args: Arguments, spec: ModelSpec): Recipe {
  return spec.recipe({
    steps: args.integer('steps', { least: 1, most: 1_000_000 }),
    batch: args.integer('batch', { least: 1, most: 1024 }),
    tokens: windowLength(args, spec),
    learningRate: args.number('learning-rate', { least: 1e-8, most: 10 }),
  })
}
