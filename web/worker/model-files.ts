/**
 * The base model's files: from this browser's cache where they are, else from the relay, with bytes, speed and
 * time left on the way. A file is used only if its length and SHA-256 are the manifest's.
 */
import { lookAhead } from '../../models/catalog/look-ahead.ts'
import type { ModelSources } from '../../models/catalog/model-files.ts'
import { DownloadError } from '../../models/errors.ts'
import { wholeFile } from '../../models/formats/byte-source.ts'
import { sha256Hex } from '../../models/sha256.ts'
import type { Manifest } from '../../relay/protocol/manifest.ts'
import { PageError } from '../state/problems.ts'
import { problems } from '../strings/problems.ts'
import type { ModelProgress, ModelReport, ModelRequest } from './api.ts'
import { type FileCache, openFileCache } from './file-cache.ts'

export interface FetchedFiles {
  /** By name. */
  readonly base: ReadonlyMap<string, Uint8Array>
  /** Where the room's adapters start, in a room that has such a file. */
  readonly start: Uint8Array | null
}

export interface FetchOptions {
  /** Given the base's files, of a large one before they are downloaded; what it throws ends the fetching. */
  readonly check: (sources: ModelSources) => Promise<void>
  readonly onProgress: (progress: ModelProgress) => void
  readonly onRequest: OnRequest
}

/** Told of each answer with a body, also of one that broke off. */
type OnRequest = (request: ModelRequest) => void

type BaseFile = Manifest['base']['files'][number]

/** Progress is shown at most this often: more would only keep the page busy. */
const PROGRESS_INTERVAL_MS = 100

/** Speed is measured over this much of the past, so that "time left" follows the network without jumping. */
const SPEED_WINDOW_MS = 4000

/** WebCrypto where there is one: several times faster, and off this thread. */
async function digestHex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!globalThis.crypto?.subtle) return sha256Hex(bytes)
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

class ProgressMeter {
  private receivedBytes = 0
  private cachedBytes = 0
  private reportedAt = 0
  private samples: { readonly at: number; readonly bytes: number }[] = []
  private readonly totalBytes: number
  private readonly report: (progress: ModelProgress) => void

  constructor(totalBytes: number, report: (progress: ModelProgress) => void) {
    this.totalBytes = totalBytes
    this.report = report
  }

  fromCache(bytes: number): void {
    this.cachedBytes += bytes
    this.receivedBytes += bytes
  }

  received(bytes: number): void {
    this.receivedBytes += bytes
    const now = performance.now()
    this.samples.push({ at: now, bytes })
    this.samples = this.samples.filter((sample) => now - sample.at <= SPEED_WINDOW_MS)
    if (now - this.reportedAt < PROGRESS_INTERVAL_MS) return
    this.reportedAt = now
    this.tell('downloading')
  }

  tell(stage: ModelProgress['stage']): void {
    const first = this.samples[0]
    const last = this.samples.at(-1)
    const seconds = first && last ? (last.at - first.at) / 1000 : 0
    const bytes = this.samples.reduce((sum, sample) => sum + sample.bytes, 0)
    const bytesPerSecond = seconds > 0 ? bytes / seconds : 0
    this.report({
      stage,
      receivedBytes: this.receivedBytes,
      totalBytes: this.totalBytes,
      bytesPerSecond,
      secondsLeft: (this.totalBytes - this.receivedBytes) / bytesPerSecond,
      cachedBytes: this.cachedBytes,
    })
  }

  get cached(): number {
    return this.cachedBytes
  }
}

const filePath = (base: Manifest['base'], name: string) =>
  `/models/${base.digest}/${encodeURIComponent(name)}`

async function download(
  base: Manifest['base'],
  file: BaseFile,
  meter: ProgressMeter,
  onRequest: OnRequest,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(filePath(base, file.name)).catch((cause) => {
    throw new PageError('model/interrupted', problems.modelInterrupted(file.name), { cause })
  })
  if (!response.ok || !response.body) {
    throw new PageError('model/unavailable', problems.modelFile(file.name, response.status))
  }
  // The manifest's length, not the response's: nothing larger is ever held.
  const bytes = new Uint8Array(file.bytes)
  let length = 0
  const reader = response.body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw new PageError('model/interrupted', problems.modelInterrupted(file.name), { cause })
      })
      if (done) break
      if (length + value.length > bytes.length) {
        await reader.cancel()
        throw new PageError('model/length', problems.modelSize(file.name))
      }
      bytes.set(value, length)
      length += value.length
      meter.received(value.length)
    }
  } finally {
    onRequest({ path: filePath(base, file.name), bytes: length })
  }
  if (length !== bytes.length) throw new PageError('model/interrupted', problems.modelInterrupted(file.name))
  return bytes
}

async function readKept(cache: FileCache, file: BaseFile): Promise<Uint8Array | null> {
  const kept = await cache.read(file.sha256)
  if (!kept) return null
  if (kept.length === file.bytes && (await digestHex(new Uint8Array(kept))) === file.sha256) return kept
  await cache.remove(file.sha256)
  return null
}

/**
 * Has `check` look into a model that is not here yet, by range requests; what was asked for is told. False where there is so
 * little to download that it is not worth it. Throws what `check` throws, and PageError `model/interrupted`.
 */
async function checkAhead(
  base: Manifest['base'],
  kept: ReadonlyMap<string, Uint8Array>,
  check: (sources: ModelSources) => Promise<void>,
  onRequest: OnRequest,
): Promise<boolean> {
  const told: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    onRequest({ path: String(input), bytes: Number(response.headers.get('content-length') ?? 0) })
    return response
  }
  const sources = lookAhead(base.files, (file) => filePath(base, file.name), { kept, fetch: told })
  if (sources === null) return false
  try {
    await check(sources)
    return true
  } catch (cause) {
    if (!(cause instanceof DownloadError)) throw cause
    throw new PageError('model/interrupted', problems.modelInterrupted(base.id), { cause })
  }
}

/**
 * All files of `base`, and `start` that the relay serves beside them, whole and checked. Throws what `check` throws, and PageError `model/unavailable`,
 * `model/interrupted`, `model/length` or `model/digest`; files that had arrived whole are kept for the next try.
 */
export async function fetchModelFiles(
  base: Manifest['base'],
  start: BaseFile | undefined,
  { check, onProgress, onRequest }: FetchOptions,
): Promise<{ files: FetchedFiles; report: ModelReport; tellLoading(): void }> {
  const cache = openFileCache()
  const wanted = start ? [...base.files, start] : base.files
  const totalBytes = wanted.reduce((sum, file) => sum + file.bytes, 0)
  const meter = new ProgressMeter(totalBytes, onProgress)
  const files = new Map<string, Uint8Array>()
  const missing: BaseFile[] = []
  meter.tell('verifying')
  for (const file of wanted) {
    const kept = await readKept(cache, file)
    if (kept) {
      files.set(file.name, kept)
      meter.fromCache(kept.length)
    } else missing.push(file)
  }
  const isChecked = await checkAhead(base, files, check, onRequest)
  let allKept = true
  for (const file of missing) {
    meter.tell('downloading')
    const bytes = await download(base, file, meter, onRequest)
    meter.tell('verifying')
    if ((await digestHex(bytes)) !== file.sha256) {
      throw new PageError('model/digest', problems.modelDigest(file.name))
    }
    allKept = (await cache.write(file.sha256, bytes)) && allKept
    files.set(file.name, bytes)
  }
  const startFile = start ? (files.get(start.name) ?? null) : null
  if (start) files.delete(start.name)
  if (!isChecked) await check(new Map([...files].map(([name, bytes]) => [name, wholeFile(bytes)])))
  return {
    files: { base: files, start: startFile },
    report: {
      totalBytes,
      cachedBytes: meter.cached,
      downloadedBytes: totalBytes - meter.cached,
      kept: allKept,
    },
    tellLoading: () => meter.tell('loading'),
  }
}
