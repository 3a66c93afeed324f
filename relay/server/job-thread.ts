/**
 * Runs jobs in a worker thread, one after the other: the relay goes on answering while an update is checked or
 * merged, and a job that takes the thread down (memory) takes down nothing else. The thread starts with the first
 * job and again after a crash.
 */
import { Worker } from 'node:worker_threads'
import type { LoraFactors } from '../../models/adapters/adapter.ts'
import type { Digest } from '../protocol/canonical.ts'
import { isErrorCode, ProtocolError } from '../protocol/errors.ts'
import type { Preview } from '../protocol/host.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { InspectedUpdate, MergedVersion } from './jobs.ts'
import type { StoredUpdate } from './update-file.ts'
import type { MergeRequest } from './version-merger.ts'

interface InspectJob {
  readonly kind: 'inspect'
  readonly manifest: Manifest
  readonly expectedDigest: Digest
  readonly bytes: Uint8Array<ArrayBuffer>
}

interface MergeJob {
  readonly kind: 'merge'
  readonly manifest: Manifest
  readonly updates: readonly StoredUpdate[]
  /** Where the room's start file lies, if it has one. */
  readonly startPath: string | null
  /** Of a private room's noise, hex. */
  readonly noiseKey?: string | undefined
  /** Of the version that a round started from: its digest, and where its continuation lies. */
  readonly origin?: { readonly digest: Digest; readonly path: string } | null
}

interface CompareJob {
  readonly kind: 'compare'
  readonly manifest: Manifest
  readonly path: string
  readonly others: readonly string[]
}

interface MergePartJob extends MergeRequest {
  readonly kind: 'merge-part'
  readonly modules: readonly string[]
}

export type Job = InspectJob | MergeJob | MergePartJob | CompareJob

export interface JobRequest {
  readonly id: number
  readonly job: Job
}

export type JobAnswer =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; code: string; message: string; stack: string }

interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
}

export class JobThread {
  #worker: Worker | undefined
  #nextId = 0
  #closed = false
  readonly #pending = new Map<number, Pending>()

  /** Takes the bytes: they are the thread's afterwards. Throws ProtocolError. */
  inspect(
    manifest: Manifest,
    expectedDigest: Digest,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<InspectedUpdate> {
    return this.#run({ kind: 'inspect', manifest, expectedDigest, bytes }, [bytes.buffer])
  }

  /** Throws ProtocolError, or an Error with the merge's own message. */
  merge(merge: Omit<MergeJob, 'kind'>): Promise<MergedVersion> {
    return this.#run({ kind: 'merge', ...merge }, [])
  }

  /** These modules of a merge. */
  mergeModules(request: MergeRequest, modules: readonly string[]): Promise<readonly LoraFactors[]> {
    return this.#run({ kind: 'merge-part', ...request, modules }, [])
  }

  /** How the update in the file `path` stands beside those in `others`. */
  compare(manifest: Manifest, path: string, others: readonly string[]): Promise<Omit<Preview, 'digest'>> {
    return this.#run({ kind: 'compare', manifest, path, others }, [])
  }

  /** It takes jobs: one that lost its thread starts another with the next. */
  get isOpen(): boolean {
    return !this.#closed
  }

  /** The first job starts the thread; whoever knows that one is coming can save it that second. */
  start(): void {
    if (this.#worker || this.#closed) return
    this.#worker = this.#startWorker()
    this.#worker.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#failAll(new ProtocolError('relay/stopping'))
    await this.#worker?.terminate()
  }

  #run<Result>(job: Job, transfer: ArrayBuffer[]): Promise<Result> {
    if (this.#closed) return Promise.reject(new ProtocolError('relay/stopping'))
    this.start()
    const id = this.#nextId++
    const request: JobRequest = { id, job }
    return new Promise<Result>((resolve, reject) => {
      this.#pending.set(id, { resolve: (result) => resolve(result as Result), reject })
      this.#worker!.ref()
      this.#worker!.postMessage(request, transfer)
    })
  }

  #startWorker(): Worker {
    const worker = new Worker(new URL('./job-worker-start.mjs', import.meta.url), {
      // Its numbers are typed arrays outside the heap: a young generation of the default size would only fill memory.
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    })
    worker.on('message', (answer: JobAnswer) => this.#settle(answer))
    worker.on('error', (error) => this.#lost(worker, error))
    worker.on('exit', () => this.#lost(worker, new Error('the job thread ended')))
    return worker
  }

  #settle(answer: JobAnswer): void {
    const pending = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    // An idle thread must not keep a stopping process alive, a busy one must.
    if (this.#pending.size === 0) this.#worker?.unref()
    if (answer.ok) {
      pending?.resolve(answer.result)
    } else if (isErrorCode(answer.code)) {
      pending?.reject(new ProtocolError(answer.code, answer.message))
    } else {
      const error = new Error(answer.message)
      error.stack = answer.stack
      pending?.reject(error)
    }
  }

  #lost(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#failAll(new Error('the job thread ended before it answered', { cause: error }))
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}
