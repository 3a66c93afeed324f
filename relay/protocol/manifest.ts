/**
 * A room's manifest: everything that all clients of one round must agree on before they train. It never changes;
 * its digest stands in every update, so an update made under other terms is recognised and refused.
 */
import * as v from 'valibot'
import { canonicalJson, type Digest, digestOfText } from './canonical.ts'
import { ProtocolError } from './errors.ts'
import { byteCount, digest, fileName, finiteNumber, roomName, shownText, wholeNumber } from './fields.ts'
import {
  MAX_ADAPTER_MODULES,
  MAX_BASE_FILES,
  MAX_CHUNK_BYTES,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
  MAX_LAYER_WIDTH,
  MAX_RANK,
  MAX_UPDATE_BYTES,
} from './limits.ts'
import { strategySchema } from './strategy.ts'

const baseFileSchema = v.strictObject({ name: fileName, bytes: byteCount, sha256: digest })

/** PEFT's module path, e.g. `base_model.model.model.layers.0.self_attn.q_proj`. */
const moduleName = v.pipe(v.string(), v.maxLength(256), v.regex(/^[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*$/))

const adapterModuleSchema = v.strictObject({
  name: moduleName,
  inFeatures: wholeNumber(1, MAX_LAYER_WIDTH),
  outFeatures: wholeNumber(1, MAX_LAYER_WIDTH),
})

const distinct = <T>(items: readonly T[], key: (item: T) => string) =>
  new Set(items.map(key)).size === items.length

/** Same fields as the trainer's recipe; bounds keep a hostile manifest from wedging a tab. */
export const recipeSchema = v.strictObject({
  steps: wholeNumber(1, 1_000_000),
  batch: wholeNumber(1, 1024),
  /** Tokens a window predicts. */
  tokens: wholeNumber(1, 131_072),
  learningRate: finiteNumber(0, 10),
  warmupSteps: wholeNumber(0, 1_000_000),
  weightDecay: finiteNumber(0, 10),
  /** Gradients are clipped to this global norm. */
  maxNorm: finiteNumber(0, 1e6),
  beta1: finiteNumber(0, 1),
  beta2: finiteNumber(0, 1),
  epsilon: finiteNumber(0, 1),
  evaluateEvery: wholeNumber(1, 1_000_000),
})

export const updateEncodingSchema = v.picklist(['i8', 'f16', 'f32'])

export const manifestSchema = v.strictObject({
  formatVersion: v.literal(1),
  room: roomName,
  title: shownText(120),
  base: v.strictObject({
    id: v.pipe(shownText(200), v.minLength(1)),
    family: v.pipe(shownText(64), v.minLength(1)),
    license: shownText(120),
    digest,
    files: v.pipe(
      v.array(baseFileSchema),
      v.minLength(1),
      v.maxLength(MAX_BASE_FILES),
      v.check((files) => distinct(files, (file) => file.name), 'two base files have the same name'),
    ),
  }),
  adapter: v.strictObject({
    rank: wholeNumber(1, MAX_RANK),
    alpha: finiteNumber(Number.MIN_VALUE, 1e6),
    seed: v.pipe(shownText(128), v.minLength(1)),
    modules: v.pipe(
      v.array(adapterModuleSchema),
      v.minLength(1),
      v.maxLength(MAX_ADAPTER_MODULES),
      v.check((modules) => distinct(modules, (module) => module.name), 'two modules have the same name'),
    ),
  }),
  recipe: recipeSchema,
  update: v.strictObject({ encoding: updateEncodingSchema }),
  strategy: strategySchema,
  /** Contributions between two published versions; 1 lets anyone subtract two versions. */
  publishEvery: wholeNumber(1, MAX_CONTRIBUTIONS),
  limits: v.strictObject({
    updateBytes: wholeNumber(1, MAX_UPDATE_BYTES),
    chunkBytes: wholeNumber(1, MAX_CHUNK_BYTES),
    examples: wholeNumber(1, MAX_EXAMPLES),
    contributions: wholeNumber(1, MAX_CONTRIBUTIONS),
    /** Largest L2 norm of a whole change (all A and B values together). */
    changeNorm: finiteNumber(Number.MIN_VALUE, 1e9),
  }),
})

export type Manifest = v.InferOutput<typeof manifestSchema>
export type Recipe = v.InferOutput<typeof recipeSchema>
export type UpdateEncoding = v.InferOutput<typeof updateEncodingSchema>

/** Checks a manifest from outside. Throws ProtocolError `manifest/malformed` naming the first field that is wrong. */
export function parseManifest(value: unknown): Manifest {
  const result = v.safeParse(manifestSchema, value, { abortEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0]
  const where = v.getDotPath(issue) ?? 'the manifest'
  throw new ProtocolError(
    'manifest/malformed',
    `The manifest's ${where} is wrong (${issue.message}); check it against docs/protocol.md.`,
  )
}

/** Hex SHA-256 of the manifest's canonical JSON. */
export function manifestDigest(manifest: Manifest): Digest {
  return digestOfText(canonicalJson(manifest))
}
