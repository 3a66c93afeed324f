/**
 * From accepted updates to a published version. A linear strategy keeps its sums between versions, so that a new
 * arrival costs one pass over its update; all others start from the stored updates, and large merges are shared out to
 * further threads, module by module. The bits are the same in every case.
 */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Adapter, AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import { CONTINUATION_FILE, writeContinuation } from '../../models/adapters/continuation.ts'
import { startOf } from '../../models/adapters/initial.ts'
import { writePeftAdapter } from '../../models/formats/peft.ts'
import {
  gaussianSigma,
  type MergedUpdates,
  mergedDigest,
  mergeModules,
  mergeRound,
  privateRelease,
  type RoundOrigin,
  RunningMerge,
} from '../aggregation/index.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { isStepped, type Manifest, manifestDigest } from '../protocol/manifest.ts'
import { adapterShape, type MergedVersion, sha256 } from './jobs.ts'
import { NOISE_KEY_BYTES, noiseStream } from './noise-stream.ts'
import { openStoredUpdate, type StoredUpdate } from './update-file.ts'

/** A merge, or these modules of it. */
export interface MergeRequest {
  readonly manifest: Manifest
  readonly updates: readonly StoredUpdate[]
  /** The bytes of the start file, where the manifest names one. */
  readonly start: Uint8Array | null
  /** Of a private room's noise, hex; without it the mean is made without noise, for comparing alone. */
  readonly noiseKey?: string | undefined
  /** The version that a room's round started from; left out or null in the first. */
  readonly origin?: RoundOrigin | null | undefined
}

/** Does part of a merge in another thread. */
export interface MergeHelper {
  mergeModules(request: MergeRequest, modules: readonly string[]): Promise<readonly LoraFactors[]>
  close(): Promise<void>
}

/** Of all rooms' sums; 8 bytes a trained number, 20 MB a room for rank 8 on every layer of SmolLM2-135M. */
const MAX_SUM_BYTES = 256 * 1024 * 1024

/** Numbers in all updates from which on a second thread's start, a second or so, is worth it. */
const SHARED_OUT_NUMBERS = 30_000_000

/** More threads than this wait for memory, not for arithmetic. */
const MAX_THREADS = 8

export class VersionMerger {
  readonly #startHelper: () => MergeHelper
  readonly #threads: number
  readonly #sharedOutNumbers: number
  /** By manifest digest, the least recently used first. */
  readonly #running = new Map<string, RunningMerge>()

  constructor(
    startHelper: () => MergeHelper,
    { threads = Math.min(availableParallelism(), MAX_THREADS), sharedOutNumbers = SHARED_OUT_NUMBERS } = {},
  ) {
    this.#startHelper = startHelper
    this.#threads = threads
    this.#sharedOutNumbers = sharedOutNumbers
  }

  /** Throws ProtocolError `store/damaged` if a file's bytes are not those that were accepted, and MergeError. */
  async merge(request: MergeRequest): Promise<MergedVersion> {
    const { manifest } = request
    const { strategy, adapter } = manifest
    if (isStepped(manifest.mode)) return mergeOneRound(request)
    const merged = manifest.privacy
      ? mergePrivately(request)
      : RunningMerge.linear(strategy, adapter.form)
        ? this.#mergeRunning(request)
        : await this.#mergeAll(request)
    return { digest: merged.digest as Digest, files: peftFiles(manifest, merged.adapter) }
  }

  #mergeRunning(request: MergeRequest): MergedUpdates {
    const { manifest, updates } = request
    const ofManifest = manifestDigest(manifest)
    const wanted = new Set<string>(updates.map(({ digest }) => digest))
    let running = this.#running.get(ofManifest)
    this.#running.delete(ofManifest) // put back below as the most recently used, and not at all if a file is damaged
    // A withdrawn update's file is gone, so it cannot be taken out of the sum: the others are summed up again.
    if (!running || [...running.digests].some((digest) => !wanted.has(digest))) {
      running = new RunningMerge(manifest.strategy, initialOf(request), manifest.adapter.form)
    }
    for (const update of updates) {
      if (running.digests.has(update.digest)) continue
      running.add(openStoredUpdate(update, { shape: adapterShape(manifest), manifestDigest: ofManifest }))
    }
    this.#running.set(ofManifest, running)
    this.#forget()
    return running.result(ofManifest)
  }

  #forget() {
    let bytes = 0
    for (const running of this.#running.values()) bytes += running.bytes
    for (const [room, running] of this.#running) {
      if (bytes <= MAX_SUM_BYTES || this.#running.size === 1) return
      this.#running.delete(room)
      bytes -= running.bytes
    }
  }

  async #mergeAll(request: MergeRequest): Promise<MergedUpdates> {
    const { manifest, updates } = request
    const { modules, rank } = manifest.adapter
    const numbers = modules.reduce((sum, one) => sum + rank * (one.inFeatures + one.outFeatures), 0)
    const large = numbers * updates.length >= this.#sharedOutNumbers
    const parts = shareOut(modules, large ? this.#threads : 1)
    const helpers = parts.slice(1).map(() => this.#startHelper())
    try {
      const elsewhere = Promise.all(helpers.map((helper, i) => helper.mergeModules(request, parts[i + 1]!)))
      // While this thread is at its own part nobody listens: what fails elsewhere is heard at the await.
      elsewhere.catch(() => {})
      const own = mergePart(request, parts[0]!)
      const all = [...own, ...(await elsewhere).flat()]
      const byName = new Map(all.map((factors) => [factors.name, factors]))
      const adapter: Adapter = {
        modules: new Map(modules.map(({ name }) => [name, byName.get(name) as LoraFactors])),
      }
      const digests = updates.map(({ digest }) => digest)
      return { adapter, digest: mergedDigest(manifestDigest(manifest), digests, adapter) }
    } finally {
      await Promise.all(helpers.map((helper) => helper.close()))
    }
  }
}

const peftFiles = (manifest: Manifest, adapter: Adapter): Record<string, Uint8Array> => ({
  ...writePeftAdapter(adapter, manifest.base.id, { base: manifest.base.digest }),
})

/** With the file that the next round starts from. */
function mergeOneRound({ manifest, updates, start, origin = null }: MergeRequest): MergedVersion {
  const shape = adapterShape(manifest)
  const { form = 'lora' } = shape
  const expected = { shape, manifestDigest: manifestDigest(manifest) }
  const merged = mergeRound({
    strategy: manifest.strategy,
    initial: initialOf({ manifest, updates, start }),
    form,
    origin,
    updates: updates.map((update) => openStoredUpdate(update, expected)),
    manifestDigest: expected.manifestDigest,
  })
  return {
    digest: merged.digest as Digest,
    files: {
      ...peftFiles(manifest, merged.adapter),
      [CONTINUATION_FILE]: writeContinuation(merged.start, form),
    },
  }
}

function mergePrivately({ manifest, updates, start, noiseKey }: MergeRequest): MergedUpdates {
  const { privacy, adapter } = manifest
  if (!privacy || !adapter.form) throw new ProtocolError('manifest/malformed')
  const expected = { shape: adapterShape(manifest), manifestDigest: manifestDigest(manifest) }
  function* opened() {
    for (const update of updates) yield openStoredUpdate(update, expected)
  }
  return privateRelease({
    strategy: manifest.strategy,
    initial: initialOf({ manifest, updates, start }),
    form: adapter.form,
    updates: opened(),
    clip: privacy.clip,
    sigma: noiseKey === undefined ? 0 : gaussianSigma(privacy),
    random: noiseStream(noiseKey === undefined ? randomBytes(NOISE_KEY_BYTES) : Buffer.from(noiseKey, 'hex')),
    manifestDigest: expected.manifestDigest,
    digests: updates.map(({ digest }) => digest),
  })
}

/** These modules of the merged adapter. */
export function mergePart(request: MergeRequest, modules: readonly string[]): LoraFactors[] {
  const { manifest, updates } = request
  const expected = { shape: adapterShape(manifest), manifestDigest: manifestDigest(manifest) }
  const merged = mergeModules({
    strategy: manifest.strategy,
    initial: initialOf(request),
    form: manifest.adapter.form,
    updates: updates.map((update) => openStoredUpdate(update, expected)),
    modules: new Set(modules),
  })
  return [...merged.modules.values()]
}

function initialOf({ manifest, start }: MergeRequest): Adapter {
  if (start && sha256(start) !== manifest.adapter.start?.sha256) throw new ProtocolError('store/damaged')
  return startOf(adapterShape(manifest), manifest.adapter.seed, start)
}

/** The modules' names in so many parts of about the same cost, the largest modules dealt out first. */
export function shareOut(modules: readonly AdapterModule[], parts: number): string[][] {
  const shares = Array.from({ length: Math.min(parts, modules.length) }, () => ({
    cost: 0,
    names: [] as string[],
  }))
  const cost = ({ inFeatures, outFeatures }: AdapterModule) =>
    inFeatures * outFeatures * Math.min(inFeatures, outFeatures)
  for (const module of [...modules].sort((x, y) => cost(y) - cost(x))) {
    const least = shares.reduce((best, share) => (share.cost < best.cost ? share : best))
    least.cost += cost(module)
    least.names.push(module.name)
  }
  return shares.map(({ names }) => names)
}
