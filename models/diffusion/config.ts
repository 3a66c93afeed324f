/**
 * The config.json of a small text-to-image diffusion transformer on pixels (model_type emoji-dit): Llama's blocks
 * without causal mask and rotary positions, modulated by time and caption. Nothing is believed before its range is
 * checked: the numbers decide how much memory is asked for.
 */
import { FormatError } from '../errors.ts'

export const MODEL_TYPE = 'emoji-dit'

export interface DiffusionConfig {
  /** Pixels along an edge; a multiple of `patchSize`. */
  readonly imageSize: number
  readonly patchSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  readonly headDim: number
  readonly vocabularySize: number
  /** Ids of a caption, `bosId` first, filled up with `padId`. */
  readonly captionTokens: number
  readonly padId: number
  readonly bosId: number
  readonly rmsNormEps: number
  /** Cosines and sines of the time, half each. */
  readonly timeFeatures: number
  readonly timeMaxPeriod: number
  readonly timeScale: number
}

/** RGB. */
export const CHANNELS = 3

export const patchesOf = ({ imageSize, patchSize }: DiffusionConfig): number => (imageSize / patchSize) ** 2

/** Numbers of a patch: rows, columns, RGB. */
export const patchWidth = ({ patchSize }: DiffusionConfig): number => patchSize ** 2 * CHANNELS

/** Rows of one picture in the residual stream: its caption's, then its patches'. */
export const sequenceLength = (config: DiffusionConfig): number => config.captionTokens + patchesOf(config)

/** The largest value believed of each. */
const LIMITS = {
  imageSize: 512,
  patchSize: 64,
  width: 16_384,
  layers: 200,
  vocabulary: 200_000,
  captionTokens: 512,
  /** Attention's rows; the largest published models of this kind have 4,096 patches. */
  sequence: 8_192,
} as const

type Json = Record<string, unknown>

const show = (value: unknown) => (JSON.stringify(value) ?? String(value)).slice(0, 60)

const malformed = (message: string) =>
  new FormatError('config/malformed', `config.json ${message}; take the file from the model's own folder.`)

function integer(config: Json, key: string, least: number, most: number): number {
  const value = config[key]
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw malformed(`needs ${key} as a whole number from ${least} to ${most}, found ${show(value)}`)
  }
  return value
}

function positive(config: Json, key: string, most: number): number {
  const value = config[key]
  if (typeof value !== 'number' || !(value > 0 && value <= most)) {
    throw malformed(`needs ${key} as a number above 0 and at most ${most}, found ${show(value)}`)
  }
  return value
}

/** What the formulas are written for. */
const FIXED = { channels: CHANNELS, hidden_act: 'silu', prediction: 'velocity' } as const

/** @throws FormatError `config/malformed`, `config/unsupported` */
export function parseDiffusionConfig(json: unknown): DiffusionConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw malformed('is not a JSON object')
  const config = json as Json
  for (const [key, only] of [['model_type', MODEL_TYPE], ...Object.entries(FIXED)] as const) {
    if (config[key] !== only) {
      throw new FormatError(
        'config/unsupported',
        `This model has ${key} ${show(config[key])}; of text-to-image models only those with ${key} ${JSON.stringify(only)} are supported.`,
      )
    }
  }
  const parsed: DiffusionConfig = {
    imageSize: integer(config, 'image_size', 1, LIMITS.imageSize),
    patchSize: integer(config, 'patch_size', 1, LIMITS.patchSize),
    hiddenSize: integer(config, 'hidden_size', 1, LIMITS.width),
    intermediateSize: integer(config, 'intermediate_size', 1, LIMITS.width),
    layers: integer(config, 'num_hidden_layers', 1, LIMITS.layers),
    heads: integer(config, 'num_attention_heads', 1, LIMITS.width),
    headDim: integer(config, 'head_dim', 1, LIMITS.width),
    vocabularySize: integer(config, 'vocab_size', 2, LIMITS.vocabulary),
    captionTokens: integer(config, 'max_text_tokens', 1, LIMITS.captionTokens),
    padId: integer(config, 'pad_token_id', 0, LIMITS.vocabulary),
    bosId: integer(config, 'bos_token_id', 0, LIMITS.vocabulary),
    rmsNormEps: positive(config, 'rms_norm_eps', 1),
    timeFeatures: integer(config, 'time_frequency_size', 2, LIMITS.width),
    timeMaxPeriod: positive(config, 'time_max_period', 1e9),
    timeScale: positive(config, 'time_scale', 1e9),
  }
  const { imageSize, patchSize, padId, bosId, vocabularySize, timeFeatures, heads, headDim } = parsed
  if (imageSize % patchSize !== 0) throw malformed(`cuts ${imageSize} pixels into patches of ${patchSize}`)
  if (padId === bosId || Math.max(padId, bosId) >= vocabularySize) {
    throw malformed(`has pad_token_id ${padId} and bos_token_id ${bosId} of ${vocabularySize} tokens`)
  }
  if (timeFeatures % 2 !== 0) throw malformed(`has an odd time_frequency_size, ${timeFeatures}`)
  if (heads * headDim > LIMITS.width) throw malformed(`has ${heads} heads of ${headDim}`)
  if (sequenceLength(parsed) > LIMITS.sequence) {
    throw malformed(`makes ${sequenceLength(parsed)} tokens of a picture, more than ${LIMITS.sequence}`)
  }
  return parsed
}
