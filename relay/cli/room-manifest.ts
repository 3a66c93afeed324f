/** A room's manifest from a base model and the host's choices. */
import {
  type AdapterForm,
  type AdapterModule,
  type AdapterShape,
  factorSpecs,
} from '../../models/adapters/adapter.ts'
import { updateBytes } from '../../models/adapters/update-codec.ts'
import type { ModelFile } from '../../models/catalog/catalog.ts'
import {
  DEFAULT_CHUNK_BYTES,
  type Digest,
  isStepped,
  MAX_ABS_CHANGE,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
  MAX_UPDATE_BYTES,
  type Manifest,
  type Mode,
  type Privacy,
  parseManifest,
  type Recipe,
  type Strategy,
} from '../protocol/index.ts'
import type { BaseModel } from './base-model.ts'
import { CliError } from './errors.ts'
import type { StartFile } from './start-file.ts'

export interface RoomChoices {
  readonly room: string
  readonly title: string
  readonly model: BaseModel
  readonly described: { readonly digest: string; readonly files: readonly ModelFile[] }
  /** The model's family. */
  readonly family: string
  readonly modules: readonly AdapterModule[]
  readonly form: AdapterForm
  readonly rank: number
  readonly alpha: number
  /** Of LoRA-SB. */
  readonly start: StartFile | null
  /** Of A0: public, and different for every room. */
  readonly seed: string
  readonly recipe: Recipe
  readonly strategy: Strategy
  readonly publishEvery: number
  readonly privacy?: Privacy | undefined
  readonly mode?: Mode | undefined
}

/** Throws CliError `room/too-large`, ProtocolError `manifest/malformed`. */
export function roomManifest(choices: RoomChoices): Manifest {
  const { model, described, form, rank, alpha, start, modules, recipe } = choices
  const shape: AdapterShape = { form, rank, alpha, modules }
  // Of small matrices I8's scales, and their names in the header, take more than F16's second byte.
  const encoding = updateBytes(shape, 'f16') < updateBytes(shape, 'i8') ? 'f16' : 'i8'
  const bytes = updateBytes(shape, encoding, isStepped(choices.mode))
  if (bytes > MAX_UPDATE_BYTES) {
    throw new CliError(
      'room/too-large',
      `An update of rank ${rank} would have ${bytes} bytes, and ${MAX_UPDATE_BYTES} is the limit; choose a lower --rank.`,
    )
  }
  return parseManifest({
    formatVersion: 1,
    room: choices.room,
    title: choices.title,
    base: {
      id: model.id,
      family: choices.family,
      license: model.license,
      digest: described.digest as Digest,
      files: described.files,
    },
    adapter: {
      rank,
      alpha,
      seed: choices.seed,
      // Left out where it is plain LoRA: such a manifest stays what it was.
      ...(form !== 'lora' && { form }),
      ...(start && { start }),
      modules,
    },
    recipe,
    update: { encoding },
    strategy: choices.strategy,
    publishEvery: choices.publishEvery,
    ...(choices.mode && { mode: choices.mode }),
    ...(choices.privacy && { privacy: choices.privacy }),
    limits: {
      updateBytes: bytes,
      chunkBytes: DEFAULT_CHUNK_BYTES,
      // Claimed counts would be a sensitivity of their own.
      examples: choices.privacy ? 1 : MAX_EXAMPLES,
      contributions: MAX_CONTRIBUTIONS,
      changeNorm: largestChange(shape, recipe),
    },
  })
}

/**
 * AdamW moves an entry by about the learning rate a step and never much more, so a change longer than that
 * allows was not made by this recipe.
 */
function largestChange(shape: AdapterShape, { learningRate, steps }: Recipe): number {
  const { modules, rank, form = 'lora' } = shape
  const entries = modules
    .flatMap((module) => factorSpecs(module, rank, form))
    .reduce((sum, { trained, shape: [rows, columns] }) => sum + (trained ? rows * columns : 0), 0)
  return Math.sqrt(entries) * Math.min(MAX_ABS_CHANGE, Math.max(0.1, learningRate * steps))
}
