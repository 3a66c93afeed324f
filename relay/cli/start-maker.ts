/**
 * Start files of `lora-sb` for rooms that are opened in the host's console: made when they are asked for, in a thread of
 * their own, one at a time, and served and offered from then on.
 */
import { Worker } from 'node:worker_threads'
import type { OfferedModel, StartRequest } from '../protocol/host.ts'
import { ProtocolError } from '../protocol/index.ts'
import type { Console } from './console.ts'
import { type HostedModel, offeredModel } from './hosting-offer.ts'
import { keptStarts } from './start-file.ts'
import type { StartJob } from './start-worker.ts'

export interface StartMakerOptions {
  readonly dataDir: string
  readonly hosted: readonly HostedModel[]
  /** What the relay serves; a new file is added to its model's. */
  readonly served: readonly { readonly digest: string; readonly files: Map<string, string> }[]
  /** What the console is offered, in the order of `hosted`; a model with a new file takes the old one's place. */
  readonly offered: OfferedModel[]
  readonly console: Console
}

export class StartMaker {
  readonly #options: StartMakerOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: StartMakerOptions) {
    this.#options = options
  }

  /** Throws ProtocolError `host/start-failed`, or `room/unknown-base` for a model that is not hosted. */
  make(request: StartRequest): Promise<OfferedModel> {
    const made = this.#last.then(() => this.#make(request))
    this.#last = made.catch(() => undefined)
    return made
  }

  async #make({ model: digest, rank }: StartRequest): Promise<OfferedModel> {
    const { dataDir, hosted, served, offered, console } = this.#options
    const index = hosted.findIndex((one) => one.digest === digest)
    if (index < 0) throw new ProtocolError('room/unknown-base')
    const { model } = hosted[index]
    const { modules } = offered[index]
    const widest = Math.min(
      ...modules.map(({ inFeatures, outFeatures }) => Math.min(inFeatures, outFeatures)),
    )
    if (rank > widest) {
      throw new ProtocolError(
        'host/start-failed',
        `${model.id} has fixed factors up to rank ${widest}; take a smaller one.`,
      )
    }
    console.note(`oneround: making the fixed factors of ${model.id} at rank ${rank} …`)
    try {
      await inThread({ dataDir, model, digest, shape: { form: 'lora-sb', rank, alpha: rank, modules } })
    } catch (error) {
      console.note(
        `oneround: the fixed factors could not be made: ${error instanceof Error ? error.message : error}`,
      )
      throw new ProtocolError('host/start-failed', undefined, { cause: error })
    }
    const files = served.find((one) => one.digest === digest)?.files
    for (const [name, file] of await keptStarts(dataDir, digest)) files?.set(name, file)
    offered[index] = await offeredModel(dataDir, hosted[index])
    return offered[index]
  }
}

function inThread(job: StartJob): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./start-worker-start.mjs', import.meta.url), { workerData: job })
    worker.once('message', () => resolve())
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the thread ended before it was done')))
  })
}
