/**
 * What the page shows, as signals: written by the actions beside this file, read by the screens. Where the
 * person is in the round stands in machine.ts.
 */
import { computed, signal } from '@preact/signals'
import { catalog } from '../../models/catalog/catalog.ts'
import type { Manifest } from '../../relay/protocol/manifest.ts'
import type { Receipt, RoomStatus, Version } from '../../relay/protocol/messages.ts'
import type {
  BackendChoice,
  DataReport,
  DeviceReport,
  LocalFile,
  ModelProgress,
  ModelReport,
  PackedUpdate,
  TrainOutcome,
  TrainReport,
  Which,
} from '../worker/api.ts'
import type { Pace } from '../worker/pace.ts'
import type { Problem } from './machine.ts'

/** What the address asks for. */
export interface Address {
  readonly room: string | null
  readonly backend: BackendChoice
  /** Fewer steps than the recipe's, for a quick look and for tests. */
  readonly steps: number | null
}

export const address = signal<Address>({ room: null, backend: 'auto', steps: null })
/** False on plain HTTP from another machine: no WebGPU, threads, Cache or WebCrypto then. */
export const secureContext = signal(true)
/** A failure that leaves the person where they are; the banner on every screen. */
export const problem = signal<Problem | null>(null)
/** The last thing that a screen reader should say. */
export const announcement = signal('')
export const relayOnline = signal(true)
/** What is known of the room came from this browser's keeping, not from the relay. */
export const roomKept = signal(false)

export interface RoomEntry {
  readonly room: string
  readonly title: string
}
export const rooms = signal<readonly RoomEntry[]>([])
export const manifest = signal<Manifest | null>(null)
export const manifestDigest = signal('')
/** From the link's fragment, which browsers send to no server, or typed by the person. */
export const joinCode = signal('')
/** The name that stands for this tab in the host's list; empty before the room is joined. */
export const hostSeesMeAs = signal('')
/** The room has one, and what was given is not it. */
export const joinCodeWanted = signal(false)
export const roomStatus = signal<RoomStatus | null>(null)

export const device = signal<DeviceReport | null>(null)
export const deviceProblem = signal<Problem | null>(null)
export const modelProgress = signal<ModelProgress | null>(null)
export const modelReport = signal<ModelReport | null>(null)

export const files = signal<readonly LocalFile[]>([])
export const dataReport = signal<DataReport | null>(null)
/** What of a folder was not taken, in words, or null. */
export const folderNote = signal<string | null>(null)
/** What is being read, in words, or null. */
export const reading = signal<string | null>(null)
/** False once this browser has refused to keep something. */
export const storageWorks = signal(true)

export interface CurvePoint {
  readonly step: number
  /** Null at step 0, which is the base model. */
  readonly loss: number | null
  readonly heldOutLoss: number | null
}
export const trainReport = signal<TrainReport | null>(null)
export const curve = signal<readonly CurvePoint[]>([])
export const checkpointStep = signal<number | null>(null)
export const stopping = signal(false)
/** Gentle: training rests as long as it works. */
export const pace = signal<Pace>('full')
export const outcome = signal<TrainOutcome | null>(null)

/** The update as it will be sent; its bytes stay in actions, not in a signal. */
export interface UpdateSummary extends Omit<PackedUpdate, 'bytes'> {
  readonly updateBytes: number
}
export const includeExamples = signal(true)
/** The longest change to send; null: as long as training made it. */
export const clipNorm = signal<number | null>(null)
export const update = signal<UpdateSummary | null>(null)
export const sentBytes = signal(0)
export const receipt = signal<Receipt | null>(null)

/** Who has taken this tab's update out of the room, since it was sent; null where it counts or was never sent. */
export const withdrawnBy = signal<'participant' | 'host' | null>(null)

/** Where training began: which round of the room, and the version that it goes on from; null: the room's own start. */
export interface Origin {
  readonly round: number
  readonly version: Version | null
}
/** Null before training, and in rooms of a single round. */
export const origin = signal<Origin | null>(null)
/** In a room of rounds: those of the rounds before. */
export const earlierReceipts = signal<readonly Receipt[]>([])
/** Whether this tab trains again when the next round begins. */
export const goesOn = signal(true)
/** The next round has begun, and waits for the person, who looks at the result. */
export const roundWaits = signal(false)
/** Of a room of several rounds, the one that takes updates, once its start is published. */
export const openRound = computed(() => {
  const { round, closed } = roomStatus.value ?? {}
  return round && round.start !== null && !closed ? round : null
})

/** All published versions heard of, oldest first; those that the relay has erased since among them. */
export const versions = signal<readonly Version[]>([])
/** The newest that can be downloaded. */
export const latestVersion = computed(() => versions.value.findLast(({ retired }) => !retired) ?? null)

/** A version heard of again is the same one, or has been retired since. */
export function addVersion(version: Version): void {
  const others = versions.peek().filter((known) => known.version !== version.version)
  versions.value = [...others, version].sort((a, b) => a.version - b.version)
  if (version.retired && chosenVersion.peek()?.version === version.version) chosenVersion.value = null
}

/** The one to compare with; null: the newest. */
export const chosenVersion = signal<Version | null>(null)
/** The version whose adapter the worker holds as `merged`. */
export const loadedVersion = signal<Version | null>(null)
/** Digests of the updates a version is merged from, by its number, as far as they have been asked for. */
export const versionContents = signal<ReadonlyMap<number, readonly string[]>>(new Map())
/** Whether the newest version is merged from this tab's update among others. */
export const versionHasOwn = computed(() => {
  const version = latestVersion.value
  const own = receipt.value?.digest
  return version !== null && own !== undefined && holds(version, own)
})
const holds = ({ version }: Version, digest: string) =>
  versionContents.value.get(version)?.includes(digest) ?? false

/** Updates that the relay still waits for until it publishes; null when it cannot be known. */
export const missingUpdates = computed(() => {
  const status = roomStatus.value
  const every = manifest.value?.publishEvery
  return status === null || every === undefined || status.closed ? null : Math.max(0, every - status.waiting)
})

export interface Measured {
  readonly loss: number | null
  readonly counted: number
  /** Progress of the measurement at hand, 0 to 1; null when none runs. */
  readonly fraction: number | null
}
export const unmeasured: Measured = { loss: null, counted: 0, fraction: null }
export const measured = {
  base: signal<Measured>(unmeasured),
  own: signal<Measured>(unmeasured),
  merged: signal<Measured>(unmeasured),
} satisfies Record<Which, unknown>

export interface Writing {
  readonly text: string
  readonly tokens: number
  readonly tokensPerSecond: number | null
  readonly active: boolean
}
const unwritten: Writing = { text: '', tokens: 0, tokensPerSecond: null, active: false }
export const writings = {
  base: signal<Writing>(unwritten),
  own: signal<Writing>(unwritten),
  merged: signal<Writing>(unwritten),
} satisfies Record<Which, unknown>
export const writing = computed(() => Object.values(writings).some((entry) => entry.value.active))
/** The prompt of the texts shown. */
export const writtenPrompt = signal('')
export const forgotten = signal(false)

/** What the catalog says of the base model, if it is one of the catalog's. */
export const catalogEntry = computed(() =>
  catalog.find((entry) => entry.digest === manifest.value?.base.digest),
)

export const modelBytes = computed(() =>
  (manifest.value?.base.files ?? []).reduce((sum, file) => sum + file.bytes, 0),
)

/** Steps this tab trains: the recipe's, or fewer where the address says so. */
export const plannedSteps = computed(() => {
  const recipe = manifest.value?.recipe.steps ?? 0
  const asked = address.value.steps
  return asked === null ? recipe : Math.min(asked, recipe)
})

/** Back to an empty round, for "start again". */
export function resetRound(): void {
  problem.value = null
  files.value = []
  dataReport.value = null
  reading.value = null
  folderNote.value = null
  resetTraining()
  includeExamples.value = true
  clipNorm.value = null
  receipt.value = null
  earlierReceipts.value = []
  origin.value = null
  goesOn.value = true
  roundWaits.value = false
  withdrawnBy.value = null
  chosenVersion.value = null
  loadedVersion.value = null
  for (const entry of Object.values(writings)) entry.value = unwritten
  writtenPrompt.value = ''
  forgotten.value = false
}

export function resetTraining(): void {
  trainReport.value = null
  curve.value = []
  checkpointStep.value = null
  stopping.value = false
  outcome.value = null
  update.value = null
  sentBytes.value = 0
  // What the base model makes of the held-out part stays as it is.
  for (const which of ['own', 'merged'] as const) measured[which].value = unmeasured
}
