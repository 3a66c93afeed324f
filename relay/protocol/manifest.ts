/**
 * A room's manifest: everything that all clients of one round must agree on before they train. It never changes;
 * its digest stands in every update, so an update made under other terms is recognised and refused.
 */
import * as v from 'valibot'
import { canonicalJson, type Digest, digestOfText } from './canonical.ts'
import { ProtocolError } from './errors.ts'
import {
  byteCount,
  digest,
  fileName,
  finiteNumber,
  roomName,
  shownText,
  timestamp,
  wholeNumber,
} from './fields.ts'
import {
  MAX_ADAPTER_MODULES,
  MAX_BASE_FILES,
  MAX_CHUNK_BYTES,
  MAX_CONTRIBUTIONS,
  MAX_EXAMPLES,
  MAX_LAYER_WIDTH,
  MAX_RANK,
  MAX_ROUNDS,
  MAX_UPDATE_BYTES,
} from './limits.ts'
import { type Strategy, strategySchema } from './strategy.ts'

export const baseFileSchema = v.strictObject({ name: fileName, bytes: byteCount, sha256: digest })

/** PEFT's module path, e.g. `base_model.model.model.layers.0.self_attn.q_proj`. */
const moduleName = v.pipe(v.string(), v.maxLength(256), v.regex(/^[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*$/))

export const adapterModuleSchema = v.strictObject({
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
  /** Steps at the full rate before it falls; none where it is left out. */
  holdSteps: v.optional(wholeNumber(0, 1_000_000)),
  weightDecay: finiteNumber(0, 10),
  /** Gradients are clipped to this global norm. */
  maxNorm: finiteNumber(0, 1e6),
  beta1: finiteNumber(0, 1),
  beta2: finiteNumber(0, 1),
  epsilon: finiteNumber(0, 1),
  evaluateEvery: wholeNumber(1, 1_000_000),
})

export const adapterFormSchema = v.picklist(['lora', 'ffa', 'lora-sb'])

export const updateEncodingSchema = v.picklist(['i8', 'f16', 'f32'])

export const modeSchema = v.variant('kind', [
  /** Every client starts from the base and counts whenever it comes. */
  v.strictObject({ kind: v.literal('one-shot') }),
  /** Every round starts from the round before's merged adapter: the multi-round baseline of the paper. */
  v.strictObject({
    kind: v.literal('rounds'),
    rounds: wholeNumber(1, MAX_ROUNDS),
    /** Updates that complete a round; at the deadline fewer do, if there is at least one. */
    quorum: wholeNumber(1, MAX_CONTRIBUTIONS),
    deadlineSeconds: wholeNumber(1, 604_800),
    /** An update for a round that is over counts in the round that is open, or is refused. */
    late: v.picklist(['next', 'refuse']),
  }),
  /** Every client starts from the newest merged adapter. */
  v.strictObject({ kind: v.literal('sequential') }),
])

/** One release under the analytic Gaussian mechanism, Balle & Wang 2018, https://arxiv.org/abs/1805.06530 */
export const privacySchema = v.strictObject({
  epsilon: finiteNumber(1e-3, 100),
  delta: finiteNumber(1e-12, 0.5),
  /** Every update's change is scaled down to this L2 norm: the sensitivity of the sum. */
  clip: finiteNumber(Number.MIN_VALUE, 1e6),
})

const termsSchema = v.strictObject({
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
  adapter: v.pipe(
    v.strictObject({
      rank: wholeNumber(1, MAX_RANK),
      alpha: finiteNumber(Number.MIN_VALUE, 1e6),
      seed: v.pipe(shownText(128), v.minLength(1)),
      /** What is trained; `lora` where it is left out. `ffa` keeps A at A0; `lora-sb` trains R alone in B R A. */
      form: v.optional(adapterFormSchema),
      /** The fixed A and B of `lora-sb`, as a PEFT safetensors file the relay serves beside the base files. */
      start: v.optional(baseFileSchema),
      modules: v.pipe(
        v.array(adapterModuleSchema),
        v.minLength(1),
        v.maxLength(MAX_ADAPTER_MODULES),
        v.check((modules) => distinct(modules, (module) => module.name), 'two modules have the same name'),
      ),
    }),
    v.check(
      ({ form, start }) => (form === 'lora-sb') === (start !== undefined),
      'a lora-sb adapter has a start file, and no other has one',
    ),
  ),
  recipe: recipeSchema,
  update: v.strictObject({ encoding: updateEncodingSchema }),
  strategy: strategySchema,
  /** How the round runs in time; one-shot where it is left out. */
  mode: v.optional(modeSchema),
  /** A private room's guarantee: one noisy publication, at close. */
  privacy: v.optional(privacySchema),
  /** Who lets an accepted update count: the relay at once (left out), or the host, one by one. */
  admission: v.optional(v.picklist(['automatic', 'approve'])),
  /** A version is published only once the host has measured it: its loss may be so much (in its family's unit) above the base's. */
  gate: v.optional(v.strictObject({ tolerance: finiteNumber(0, 100) })),
  /** From then on the room takes nothing new and publishes what waits; never where it is left out. */
  expiresAt: v.optional(timestamp),
  /** The relay's Ed25519 public key, which signs this room's receipts: 64 hex digits. */
  receiptKey: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
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

export const manifestSchema = v.pipe(
  termsSchema,
  v.forward(
    v.partialCheck(
      [['strategy'], ['adapter']],
      ({ strategy: { id }, adapter }) => !(id === 'ffa' || id === 'lora-sb') || adapter.form === id,
      'ffa and lora-sb merge updates of the form of the same name',
    ),
    ['strategy', 'id'],
  ),
  v.forward(
    v.partialCheck(
      [['privacy'], ['strategy'], ['adapter']],
      ({ privacy, strategy, adapter }) =>
        privacy === undefined ||
        (adapter.form !== undefined && strategy.id === adapter.form && strategy.clip === undefined),
      'a private room trains the form ffa or lora-sb and merges by the strategy of that name, with no other clip',
    ),
    ['privacy'],
  ),
  v.forward(
    v.partialCheck(
      [['privacy'], ['mode'], ['admission'], ['limits']],
      ({ privacy, mode, admission, limits }) =>
        privacy === undefined ||
        ((mode === undefined || mode.kind === 'one-shot') &&
          admission !== 'approve' &&
          limits.examples === 1),
      'a private room is one-shot, counts every contribution as one, and nobody chooses among them',
    ),
    ['privacy'],
  ),
  v.forward(
    v.partialCheck(
      [['gate'], ['mode'], ['privacy']],
      ({ gate, mode, privacy }) => gate === undefined || (!isStepped(mode) && privacy === undefined),
      'a gate holds nothing up but a one-shot room that is not private',
    ),
    ['gate'],
  ),
  v.forward(
    v.partialCheck(
      [['mode'], ['strategy'], ['adapter']],
      ({ mode, strategy, adapter }) => !isStepped(mode) || keepsForm(strategy, adapter.rank),
      "rounds go on from what is published: fedit, ffa, lora-sb, or florist or svd with a rank of at most the adapter's, without lambda or clip",
    ),
    ['strategy'],
  ),
  v.forward(
    v.partialCheck(
      [['mode'], ['admission'], ['publishEvery']],
      ({ mode, admission, publishEvery }) =>
        !isStepped(mode) || (admission !== 'approve' && publishEvery === quorumOf(mode)),
      'a room of rounds publishes each, so publishEvery is its quorum (1 where each starts from the newest), and every update counts at once',
    ),
    ['mode'],
  ),
  v.forward(
    v.partialCheck(
      [['mode']],
      ({ mode }) => mode?.kind !== 'rounds' || mode.rounds * mode.quorum <= MAX_CONTRIBUTIONS,
      `a room takes at most ${MAX_CONTRIBUTIONS} contributions over all rounds`,
    ),
    ['mode'],
  ),
)

export type SteppedMode = Exclude<v.InferOutput<typeof modeSchema>, { kind: 'one-shot' }>

/** Whether each round starts from the version of the one before. */
export function isStepped(mode: v.InferOutput<typeof modeSchema> | undefined): mode is SteppedMode {
  return mode !== undefined && mode.kind !== 'one-shot'
}

/** Updates that complete a round; where each starts from the newest, every one is a round of its own. */
export const quorumOf = (mode: SteppedMode): number => (mode.kind === 'rounds' ? mode.quorum : 1)

/** Whether what the strategy publishes can be trained on in the room's own rank. */
function keepsForm({ id, rank, tau, lambda, clip }: Strategy, adapterRank: number): boolean {
  if (lambda !== undefined || clip !== undefined) return false
  if (id === 'florist' || id === 'svd') return rank !== undefined && rank <= adapterRank
  return (id === 'fedit' || id === 'ffa' || id === 'lora-sb') && rank === undefined && tau === undefined
}

export type Manifest = v.InferOutput<typeof manifestSchema>
export type Recipe = v.InferOutput<typeof recipeSchema>
export type AdapterForm = v.InferOutput<typeof adapterFormSchema>
export type Mode = v.InferOutput<typeof modeSchema>
export type Privacy = v.InferOutput<typeof privacySchema>
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
