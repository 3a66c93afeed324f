/** Fills in a new room's manifest: the host says what is trained, the defaults here say on what terms. */
import { DEFAULT_CHUNK_BYTES, MAX_CONTRIBUTIONS, MAX_EXAMPLES } from './limits.ts'
import { type Manifest, parseManifest, type Recipe, type UpdateEncoding } from './manifest.ts'
import type { Strategy } from './strategy.ts'
import { trainedNumbers } from './trained-numbers.ts'

/** Of the delta's energy; what is cut is smaller than what I8 rounds away. */
export const DEFAULT_TAU = 0.999

/** The fewest contributions between two versions that leave nobody alone in the difference with one other. */
export const DEFAULT_PUBLISH_EVERY = 3

export interface NewManifest {
  readonly room: string
  readonly title: string
  readonly base: Manifest['base']
  readonly adapter: Manifest['adapter']
  readonly recipe: Recipe
  /** The largest an update of this adapter in this encoding can be: `updateBytes` of the update codec. */
  readonly updateBytes: number
  readonly encoding?: UpdateEncoding
  readonly strategy?: Strategy
  readonly publishEvery?: number
  readonly contributions?: number
  readonly changeNorm?: number
  readonly mode?: Manifest['mode']
  readonly privacy?: Manifest['privacy']
}

/** Throws ProtocolError `manifest/malformed`. */
export function createManifest(options: NewManifest): Manifest {
  const { room, title, base, adapter, recipe } = options
  return parseManifest({
    formatVersion: 1,
    room,
    title,
    base,
    adapter,
    recipe,
    update: { encoding: options.encoding ?? 'i8' },
    strategy: options.strategy ?? { id: 'florist', tau: DEFAULT_TAU },
    publishEvery: options.publishEvery ?? DEFAULT_PUBLISH_EVERY,
    ...(options.mode && { mode: options.mode }),
    ...(options.privacy && { privacy: options.privacy }),
    limits: {
      updateBytes: options.updateBytes,
      chunkBytes: DEFAULT_CHUNK_BYTES,
      // Claimed counts would be a sensitivity of their own.
      examples: options.privacy ? 1 : MAX_EXAMPLES,
      contributions: options.contributions ?? MAX_CONTRIBUTIONS,
      changeNorm: options.changeNorm ?? largestChangeNorm(recipe, adapter),
    },
  })
}

/**
 * What an honest run stays below. Adam moves an entry by about the learning rate a step at most, and the rate only
 * falls, so no entry moves further than steps * learningRate; the norm of n such entries is sqrt(n) times that.
 */
export function largestChangeNorm(recipe: Recipe, adapter: Manifest['adapter']): number {
  return Math.max(1, recipe.steps * recipe.learningRate) * Math.sqrt(trainedNumbers(adapter))
}
