/** The options that shape a training run, shared by `host` and `train`, and their defaults. */
import type { AdapterForm } from '../../models/adapters/adapter.ts'
import type { LlamaConfig } from '../../models/llama/config.ts'
import { DEFAULT_RECIPE } from '../../models/training/recipe.ts'
import { MAX_RANK, type Recipe } from '../protocol/index.ts'
import type { Arguments, OptionSpecs } from './args.ts'
import { UsageError } from './errors.ts'

/** As in the paper's experiments, on all seven projections. */
const DEFAULT_RANK = 8
const DEFAULT_ALPHA = 16

/** As many tokens a step as the recipe, in windows twice as long. */
const DEFAULT_BATCH = DEFAULT_RECIPE.batch / 2
const DEFAULT_LENGTH = 256

/** Held-out loss is measured this many times a run. */
const EVALUATIONS = 6

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
  steps: { type: 'string', value: 'N', help: `optimiser steps, default ${DEFAULT_RECIPE.steps}` },
  batch: { type: 'string', value: 'N', help: `windows a step, default ${DEFAULT_BATCH}` },
  length: {
    type: 'string',
    value: 'N',
    help: `tokens a window predicts, default ${DEFAULT_LENGTH} or what the model takes`,
  },
  'learning-rate': {
    type: 'string',
    value: 'X',
    help: `peak, then linear decay to zero, default ${DEFAULT_RECIPE.learningRate}`,
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
export function windowLength(args: Arguments, { maxPositions }: LlamaConfig): number {
  const length = args.integer('length', { least: 1, most: 131_072 })
  if (length !== undefined && length > maxPositions) {
    throw new UsageError(`--length ${length} is more than this model's ${maxPositions} positions.`)
  }
  return length ?? Math.min(DEFAULT_LENGTH, maxPositions)
}

export function recipeOf(args: Arguments, config: LlamaConfig): Recipe {
  const steps = args.integer('steps', { least: 1, most: 1_000_000 }) ?? DEFAULT_RECIPE.steps
  return {
    ...DEFAULT_RECIPE,
    steps,
    batch: args.integer('batch', { least: 1, most: 1024 }) ?? DEFAULT_BATCH,
    tokens: windowLength(args, config),
    learningRate: args.number('learning-rate', { least: 1e-8, most: 10 }) ?? DEFAULT_RECIPE.learningRate,
    evaluateEvery: Math.max(1, Math.round(steps / EVALUATIONS)),
  }
}
