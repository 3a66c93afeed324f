/**
 * What a host chooses before opening a room, what it costs everybody, and the manifest that it makes. Pure.
 */
import { startBytes, startFileName } from '../../../models/adapters/start.ts'
import { updateBytes } from '../../../models/adapters/update-codec.ts'
import { mediumOf } from '../../../models/families/media.ts'
import { DEFAULT_RECIPE } from '../../../models/training/recipe.ts'
import { createManifest, DEFAULT_TAU } from '../../../relay/protocol/create-manifest.ts'
import type { Offer, OfferedModel } from '../../../relay/protocol/host.ts'
import {
  MAX_CONTRIBUTIONS,
  MAX_RANK,
  MAX_ROOM_NAME_CHARACTERS,
  MAX_ROUNDS,
} from '../../../relay/protocol/limits.ts'
import {
  type AdapterForm,
  isStepped,
  type Manifest,
  type Mode,
  type Privacy,
  parseManifest,
  quorumOf,
} from '../../../relay/protocol/manifest.ts'
import { type PrivacyFigures, privacyFigures } from '../../../relay/protocol/privacy.ts'
import type { Strategy } from '../../../relay/protocol/strategy.ts'
import { trainedNumbers } from '../../../relay/protocol/trained-numbers.ts'

export type StrategyId = Strategy['id']

export interface Plan {
  readonly title: string
  /** Digest of the base model. */
  readonly model: string
  readonly form: AdapterForm
  readonly rank: number
  readonly steps: number
  readonly batch: number
  readonly tokens: number
  readonly learningRate: number
  readonly strategy: StrategyId
  /** How the round runs in time, or several of them. */
  readonly mode: Mode
  /** Null: an open room. */
  readonly privacy: Privacy | null
  readonly publishEvery: number
  readonly approve: boolean
  /** A version is published once this console has measured it and found it no worse than the base. */
  readonly gate: boolean
  readonly withCode: boolean
}

/** More of it than any use of it here; the protocol's own limit is higher. */
const MOST_RANK = 64

/** Held-out loss is measured this many times a run, and at its end. */
const EVALUATIONS = 6

/** A model this large takes a GPU; without one a class gets through fewer tokens in its ten minutes. */
const LARGE_MODEL_BYTES = 20e6

export const modelBytes = ({ files }: Pick<OfferedModel, 'files'>) =>
  files.reduce((sum, { bytes }) => sum + bytes, 0)

/** A class of 30 and ten minutes of training: short windows, a version after every fifth of them. */
export function classPreset(model: OfferedModel, title: string): Plan {
  const isLarge = modelBytes(model) > LARGE_MODEL_BYTES
  const draws = mediumOf(model.family) === 'pictures'
  return {
    title,
    model: model.digest,
    form: 'lora',
    rank: 8,
    steps: isLarge ? 20 : 60,
    batch: draws ? 8 : isLarge ? 2 : 4,
    tokens: Math.min(128, model.maxTokens),
    learningRate: draws || isLarge ? 1e-3 : DEFAULT_RECIPE.learningRate,
    strategy: 'florist',
    mode: { kind: 'one-shot' },
    privacy: null,
    publishEvery: 5,
    approve: false,
    gate: false,
    withCode: true,
  }
}

/** Ranks of which the relay has start files: the only ones that `lora-sb` can have. */
export const startRanks = ({ starts }: OfferedModel): number[] =>
  starts
    .flatMap(({ name }) => /^lora-sb-rank-(\d+)\.safetensors$/.exec(name)?.slice(1) ?? [])
    .map(Number)
    .sort((a, b) => a - b)

/** Ranks to choose from; null where the relay makes what is asked for. */
export const fixedRanks = (model: OfferedModel): number[] | null =>
  model.makesStarts ? null : startRanks(model)

/** The largest rank that fixed factors of this model can have, and the console asks for. */
export const mostRank = ({ modules }: OfferedModel, form: AdapterForm): number =>
  Math.min(
    MOST_RANK,
    ...(form === 'lora-sb'
      ? modules.flatMap(({ inFeatures, outFeatures }) => [inFeatures, outFeatures])
      : []),
  )

/** What this relay can open a room with for this model; noise needs a form whose mean is exact. */
export const possibleForms = (
  offer: Offer,
  model: OfferedModel,
  privacy: Privacy | null = null,
): AdapterForm[] =>
  offer.forms.filter(
    (form) =>
      (form !== 'lora-sb' || model.makesStarts || startRanks(model).length > 0) &&
      (form !== 'lora' || privacy === null),
  )

/** Of plain LoRA, what these publish can be trained on in the rank that is trained. */
const KEEP_RANK: readonly StrategyId[] = ['florist', 'fedit', 'svd']

/**
 * `ffa` and `lora-sb` merge adapters of their own form alone. A private room is merged by these alone, and so are
 * rounds that train these forms.
 */
export const possibleStrategies = (
  offer: Offer,
  { form, privacy, mode }: Pick<Plan, 'form' | 'privacy' | 'mode'>,
): StrategyId[] =>
  offer.strategies.filter((id) => {
    if (id === 'ffa' || id === 'lora-sb') return id === form
    return privacy === null && (!isStepped(mode) || (form === 'lora' && KEEP_RANK.includes(id)))
  })

/** A plan with another form keeps what still goes with it. */
export function withForm(plan: Plan, form: AdapterForm, model: OfferedModel): Plan {
  const own = form === 'lora' ? 'florist' : form
  const isOwn = plan.strategy === 'ffa' || plan.strategy === 'lora-sb' || plan.strategy === 'florist'
  const fits = !isOwn && !(isStepped(plan.mode) && form !== 'lora')
  const ranks = form === 'lora-sb' ? fixedRanks(model) : null
  const rank =
    ranks && !ranks.includes(plan.rank) ? (ranks[0] ?? plan.rank) : Math.min(plan.rank, mostRank(model, form))
  return { ...plan, form, rank, strategy: fits ? plan.strategy : own }
}

/** For a class: as many rounds as ten minutes hold, of most of the class, and nobody waits for the slowest for long. */
export const ROUNDS_OF_A_CLASS: Mode = {
  kind: 'rounds',
  rounds: 3,
  quorum: 20,
  deadlineSeconds: 300,
  late: 'next',
}

/** Rounds are published each, nobody chooses among contributions, and the merge must be one that can be trained on. */
export function withMode(plan: Plan, mode: Mode, offer: Offer, model: OfferedModel): Plan {
  const moved = { ...plan, mode }
  if (!isStepped(mode)) return moved
  const possible = possibleStrategies(offer, moved)
  const strategy = possible.includes(plan.strategy)
    ? plan.strategy
    : withForm({ ...moved, strategy: 'florist' }, plan.form, model).strategy
  return { ...moved, strategy, approve: false, gate: false }
}

/** Beyond these a room would take more contributions than any may. */
export const mostRounds = (quorum: number) => Math.min(MAX_ROUNDS, Math.floor(MAX_CONTRIBUTIONS / quorum))
export const mostInRound = (rounds: number) => Math.floor(MAX_CONTRIBUTIONS / rounds)

/**
 * Epsilons to choose from, each with its noise on the sum as a multiple of the clip: the analytic Gaussian mechanism's
 * for DELTA.
 */
export const EPSILONS = [
  { epsilon: 8, sigma: 0.600229072 },
  { epsilon: 4, sigma: 1.08116185 },
  { epsilon: 2, sigma: 1.993812446 },
  { epsilon: 1, sigma: 3.730631635 },
] as const

/** Below one in the number of people whom a class could be confused with. */
const DELTA = 1e-5

export const privacyWith = (epsilon: number, clip = 1): Privacy => ({ epsilon, delta: DELTA, clip })

/** A private room trains what can be summed exactly, and nobody chooses among its contributions. */
export function withPrivacy(plan: Plan, privacy: Privacy | null, offer: Offer, model: OfferedModel): Plan {
  if (privacy === null) return withForm({ ...plan, privacy }, plan.form, model)
  const forms = possibleForms(offer, model, privacy)
  const form = forms.includes(plan.form) ? plan.form : forms.includes('lora-sb') ? 'lora-sb' : 'ffa'
  const moved = withForm({ ...plan, privacy, mode: { kind: 'one-shot' } }, form, model)
  return { ...moved, strategy: form === 'lora-sb' ? 'lora-sb' : 'ffa', approve: false, gate: false }
}

/** What a private room of this plan would be worth with so many contributions. */
export function figuresOf(plan: Plan, model: OfferedModel, contributions: number): PrivacyFigures | null {
  const { privacy } = plan
  const sigma = EPSILONS.find(({ epsilon }) => epsilon === privacy?.epsilon)?.sigma
  if (!privacy || sigma === undefined) return null
  return privacyFigures({ ...manifestOf(plan, model, 'room', 'seed'), privacy }, sigma, contributions)
}

export interface Cost {
  /** Of each participant, over all rounds. */
  readonly rounds: number
  readonly downloadBytes: number
  readonly updateBytes: number
  /** Tokens each participant trains, padding left out. */
  readonly trainedTokens: number
}

const F32_BYTES = 4

export function costOf(plan: Plan, model: OfferedModel): Cost {
  const { form, rank } = plan
  const shape = { form, rank, alpha: 2 * rank, modules: model.modules }
  const fixedBytes = form === 'lora-sb' ? (startFor(plan, model)?.bytes ?? startBytes(shape)) : 0
  const rounds = plan.mode.kind === 'rounds' ? plan.mode.rounds : 1
  return {
    rounds,
    // Each later round begins with the version before it, at full precision.
    downloadBytes: modelBytes(model) + fixedBytes + (rounds - 1) * F32_BYTES * trainedNumbers(shape),
    updateBytes:
      rounds *
      Math.min(...(['i8', 'f16'] as const).map((as) => updateBytes(shape, as, isStepped(plan.mode)))),
    trainedTokens: rounds * plan.steps * plan.batch * plan.tokens,
  }
}

/** Whether the room needs fixed factors that the relay has yet to make. */
export const needsStart = (plan: Plan, model: OfferedModel) =>
  plan.form === 'lora-sb' && startFor(plan, model) === undefined

const startFor = ({ rank }: Plan, { starts }: OfferedModel) =>
  starts.find(({ name }) => name === startFileName(rank))

function strategyOf({ strategy: id, rank, mode }: Plan): Strategy {
  switch (id) {
    case 'florist':
      return { id, tau: DEFAULT_TAU, ...(isStepped(mode) && { rank }) }
    case 'svd':
      return { id, rank }
    case 'ties':
      return { id, density: 0.2 }
    case 'dare':
      return { id, density: 0.2, seed: '0' }
    case 'trimmed-mean':
      return { id, trim: 0.1 }
    default:
      return { id }
  }
}

/** `seed` of A0: public, and different for every room. Throws ProtocolError `manifest/malformed`. */
export function manifestOf(plan: Plan, model: OfferedModel, room: string, seed: string): Manifest {
  const { form, rank, steps } = plan
  const shape = { form, rank, alpha: 2 * rank, modules: model.modules }
  // Of small matrices I8's scales, and their names in the header, take more than F16's second byte.
  const encoding = updateBytes(shape, 'f16') < updateBytes(shape, 'i8') ? 'f16' : 'i8'
  const start = form === 'lora-sb' ? startFor(plan, model) : undefined
  const manifest = createManifest({
    room,
    title: plan.title.trim(),
    base: {
      id: model.id,
      family: model.family,
      license: model.license,
      digest: model.digest,
      files: model.files,
    },
    adapter: {
      rank,
      alpha: 2 * rank,
      seed,
      ...(form !== 'lora' && { form }),
      ...(start && { start }),
      modules: model.modules,
    },
    recipe: {
      ...DEFAULT_RECIPE,
      steps,
      batch: plan.batch,
      tokens: plan.tokens,
      learningRate: plan.learningRate,
      evaluateEvery: Math.max(1, Math.round(steps / EVALUATIONS)),
    },
    updateBytes: updateBytes(shape, encoding, isStepped(plan.mode)),
    encoding,
    strategy: strategyOf(plan),
    publishEvery: isStepped(plan.mode) ? quorumOf(plan.mode) : plan.publishEvery,
    // A manifest of one round says nothing of it.
    ...(isStepped(plan.mode) && { mode: plan.mode }),
  })
  return parseManifest({
    ...manifest,
    ...(plan.privacy && {
      privacy: plan.privacy,
      // Claimed counts would be a sensitivity of their own.
      limits: { ...manifest.limits, examples: 1 },
    }),
    ...(plan.approve && { admission: 'approve' }),
    ...(plan.gate && { gate: { tolerance: 0 } }),
  })
}

/** The fields a number is typed into, with what the protocol and the model take. */
export const BOUNDS = {
  rank: [1, MAX_RANK],
  steps: [1, 100_000],
  batch: [1, 64],
  publishEvery: [1, MAX_CONTRIBUTIONS],
} as const

/** `Poems of class 7b!` -> `poems-of-class-7b`; with a number behind where that is taken. */
export function roomNameFor(title: string, taken: readonly string[]): string {
  const letters = title
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  const base = letters.slice(0, MAX_ROOM_NAME_CHARACTERS - 4).replace(/-+$/, '') || 'room'
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`
    if (!taken.includes(name)) return name
  }
}

/** Letters and digits that cannot be taken for one another. */
const CODE_LETTERS = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'

/** 40 random bits: `7KQ4-M2XT`. The relay lets nobody guess more than a few times a minute. */
export function newJoinCode(random: Uint8Array): string {
  const letters = Array.from(random.subarray(0, 8), (byte) => CODE_LETTERS[byte % CODE_LETTERS.length])
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`
}
