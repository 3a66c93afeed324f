/**
 * The merged model on the host's own text or pictures: its loss version by version, and at which scale it is least. One
 * choice of data a room; everything measured on it is kept in this browser.
 */
import { batch, computed, effect, signal } from '@preact/signals'
import { sha256Hex } from '../../../models/sha256.ts'
import { bestOf, type Measured, searchScale } from '../../../models/training/line-search.ts'
import { downloadVersion } from '../../../relay/client/download.ts'
import type { CandidateView } from '../../../relay/protocol/host.ts'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import type { Version } from '../../../relay/protocol/messages.ts'
import { console as text } from '../../strings/host.ts'
import type { LocalFile, PictureFile } from '../../worker/api.ts'
import { PageError, toProblem } from '../problems.ts'
import { problem } from '../store.ts'
import { callback, inWorker } from '../worker-client.ts'
import { fetchCandidateFile, reportMeasured } from './host-http.ts'
import { hostManifest, hostManifestDigest, liveVersions, newestVersion, overview } from './host-store.ts'
import { type KeptMeasures, loadMeasures, onOtherWindow, saveMeasures } from './keeping.ts'
import { place } from './place.ts'
import type { HostSample } from './sample-data.ts'
import { show } from './watching.ts'
import { inTurn, prepareFor } from './worker-queue.ts'

export const measures = signal<KeptMeasures | null>(null)

/** What is being measured now; null when nothing is. */
export const measuringNow = signal<{
  readonly what: 'data' | 'base' | 'version' | 'candidate' | 'scale'
  readonly version: number | null
  /** Of the measurement at hand. */
  readonly fraction: number
} | null>(null)

export interface VersionLoss {
  readonly version: number
  readonly contributions: number
  readonly loss: number
}

export const baseLoss = computed(() => measures.value?.losses.base ?? null)

/** Oldest first. */
export const versionLosses = computed((): readonly VersionLoss[] =>
  liveVersions.value.flatMap(({ version, contributions, digest }) => {
    const loss = measures.value?.losses[digest]
    return loss === undefined ? [] : [{ version, contributions, loss }]
  }),
)

export interface ScaleCurve {
  readonly version: Version
  /** By scale. */
  readonly points: readonly Measured[]
  readonly best: Measured
  readonly atOne: Measured
}

/** Of the newest version, once the search is over. */
export const scaleCurve = computed((): ScaleCurve | null => {
  const version = newestVersion.value
  const found = version && measures.value?.curves[version.digest]
  if (!version || !found || found.length === 0) return null
  const points = found.toSorted((a, b) => a.scale - b.scale)
  const atOne = points.find(({ scale }) => scale === 1)
  return atOne ? { version, points, best: bestOf(found), atOne } : null
})

/** Whose data the worker holds: a manifest's digest, or nothing. */
let dataInWorker = ''

/** Follows the room at hand: what is kept of it, and in the console itself every new version. */
effect(() => {
  const digest = hostManifestDigest.value
  if (digest === '') return
  measures.value = null
  const load = () => {
    loadMeasures(digest).then(
      (kept) => {
        if (kept && hostManifestDigest.peek() === digest) measures.value = kept
      },
      // A browser that keeps nothing: the host chooses the text again.
      () => {},
    )
  }
  load()
  return onOtherWindow(digest, load)
})

effect(() => {
  const room = hostManifest.value
  // The projector's window shows what the console measures.
  if (!room || place.value.view === 'projector') return
  const known = measures.value
  if (!known || measuringNow.value !== null) return
  const { losses } = known
  if (losses.base === undefined) {
    enqueue('base', () => measure(room, 'base', 'base', null, null))
    return
  }
  // What a room waits for comes first.
  const candidate = overview.value?.candidate
  if (candidate?.state === 'waiting' && !failed.has(candidate.digest)) {
    if (losses[candidate.digest] === undefined) {
      const folder = () => candidateFolder(room, candidate)
      enqueue(candidate.digest, () => measure(room, 'candidate', candidate.digest, null, folder))
    } else void decide(room, candidate.digest, losses.base, losses[candidate.digest])
    return
  }
  const next = liveVersions.value.findLast(({ digest }) => losses[digest] === undefined)
  if (next && !failed.has(next.digest)) {
    enqueue(next.digest, () =>
      measure(room, 'version', next.digest, next.version, () => published(room, next)),
    )
  }
})

/** What is measured or will be: the room is seen anew every second. */
const queued = new Set<string>()

function enqueue(key: string, job: () => Promise<void>): void {
  if (queued.has(key)) return
  queued.add(key)
  void inTurn(job).finally(() => queued.delete(key))
}

let deciding = ''

/** Tells the relay what was measured: it publishes the candidate, or holds it back. */
async function decide(room: Manifest, digest: string, base: number, loss: number): Promise<void> {
  if (deciding === digest) return
  deciding = digest
  try {
    show(await reportMeasured(room.room, digest, { baseLoss: base, loss }))
  } catch (error) {
    const found = toProblem(error)
    // Something else measured it first, or another took its place.
    if (found.code !== 'host/no-candidate') {
      failed.add(digest)
      problem.value = found
    }
  } finally {
    deciding = ''
  }
}

/** What could not be measured is not tried again before a reload. */
const failed = new Set<string>()

export const chooseText = (files: readonly LocalFile[]) => choose(async () => files)

/** Read into small squares with captions first, of which alone something is kept. */
export const choosePictures = (name: string, files: readonly PictureFile[]) =>
  choose(async () => {
    const { bytes } = await inWorker((api) =>
      api.packPictures(
        files,
        callback(() => {}),
      ),
    )
    return [{ name, bytes }]
  })

export const chooseSample = (sample: HostSample, bytes: Uint8Array) =>
  choose(async () => [await sample.read(bytes)])

/** @param read once the room's model is there */
const choose = (read: () => Promise<readonly LocalFile[]>) =>
  inTurn(async () => {
    const room = hostManifest.peek()
    if (!room) return
    problem.value = null
    failed.clear()
    dataInWorker = ''
    measuringNow.value = { what: 'data', version: null, fraction: 0 }
    try {
      await prepareFor(room)
      const files = await read()
      const found = await inWorker((api) => api.readMeasuringData(files, room))
      const broken = found.report.files.find((file) => file.problem)?.problem
      if (broken) throw new PageError(broken.code, broken.message)
      if (found.examples === 0) throw new PageError('data/too-short', text.dataTooShort)
      dataInWorker = hostManifestDigest.peek()
      await keep({ files, examples: found.examples, counted: found.counted, losses: {}, curves: {} })
    } finally {
      measuringNow.value = null
    }
  })

async function keep(kept: KeptMeasures): Promise<void> {
  measures.value = kept
  try {
    await saveMeasures(hostManifestDigest.peek(), kept)
  } catch {
    // A private window: the results last as long as this tab.
  }
}

/** The room's model and the data in the worker, whatever ran there before. */
async function ready(room: Manifest): Promise<void> {
  await prepareFor(room)
  const known = measures.peek()
  if (!known || dataInWorker === hostManifestDigest.peek()) return
  await inWorker((api) => api.readMeasuringData(known.files, room))
  dataInWorker = hostManifestDigest.peek()
}

type Folder = ReadonlyMap<string, Uint8Array>

const published = (room: Manifest, version: Version): Promise<Folder> =>
  downloadVersion(location.origin, room.room, version)

/** Of a candidate, which the host alone may read. */
async function candidateFolder(room: Manifest, { files }: CandidateView): Promise<Folder> {
  const folder = new Map<string, Uint8Array>()
  for (const { name, sha256 } of files) {
    const bytes = await fetchCandidateFile(room.room, name)
    if (sha256Hex(bytes) !== sha256) throw new PageError('network/download', text.versionMissing)
    folder.set(name, bytes)
  }
  return folder
}

async function placeInWorker(folder: Folder): Promise<void> {
  const config = folder.get('adapter_config.json')
  const weights = folder.get('adapter_model.safetensors')
  if (!config || !weights) throw new PageError('network/download', text.versionMissing)
  await inWorker((api) => api.setMerged(config, weights))
}

async function measure(
  room: Manifest,
  what: 'base' | 'version' | 'candidate',
  key: string,
  number: number | null,
  adapter: (() => Promise<Folder>) | null,
): Promise<void> {
  const known = measures.peek()
  // Another turn may have done it, or the host may have gone to another room.
  if (!known || known.losses[key] !== undefined || hostManifest.peek() !== room) return
  measuringNow.value = { what, version: number, fraction: 0 }
  try {
    await ready(room)
    if (adapter) await placeInWorker(await adapter())
    const { loss } = await lossAt(room, adapter ? 1 : null, what, number)
    if (measures.peek() === known) await keep({ ...known, losses: { ...known.losses, [key]: loss } })
  } catch (error) {
    failed.add(key)
    if (key === 'base') measures.value = null
    throw error
  } finally {
    measuringNow.value = null
  }
}

const lossAt = (
  room: Manifest,
  scale: number | null,
  what: 'base' | 'version' | 'candidate' | 'scale',
  version: number | null,
) =>
  inWorker((api) =>
    api.measureMerged(
      scale,
      room,
      callback((fraction: number) => {
        if (measuringNow.peek()) measuringNow.value = { what, version, fraction }
      }),
    ),
  )

/** What the running search has found so far, for the curve that grows. */
export const searched = signal<readonly Measured[]>([])
let stopSearch = false

export const stopScaleSearch = () => {
  stopSearch = true
}

class SearchStopped extends Error {}

/** Tries scales of the newest version until the best is known to a twentieth of itself. */
export const findScale = () =>
  inTurn(async () => {
    const room = hostManifest.peek()
    const version = newestVersion.peek()
    const known = measures.peek()
    if (!room || !version || !known) return
    stopSearch = false
    batch(() => {
      searched.value = []
      measuringNow.value = { what: 'scale', version: version.version, fraction: 0 }
    })
    try {
      await ready(room)
      await placeInWorker(await published(room, version))
      const measured = await searchScale(async (scale) => {
        if (stopSearch) throw new SearchStopped()
        const { loss } = await lossAt(room, scale, 'scale', version.version)
        searched.value = [...searched.peek(), { scale, loss }]
        return loss
      })
      const latest = measures.peek()
      if (latest) await keep({ ...latest, curves: { ...latest.curves, [version.digest]: measured } })
    } catch (error) {
      if (!(error instanceof SearchStopped)) problem.value = toProblem(error)
    } finally {
      measuringNow.value = null
    }
  })
