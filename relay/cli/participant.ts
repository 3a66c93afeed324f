/**
 * One participant without a browser, as `join` and the demo use it: joins a room, loads the base model by digest,
 * trains on local files, sends one update, and can wait for the merged version and measure it.
 */
import { randomBytes } from 'node:crypto'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { CONTINUATION_FILE, readContinuation } from '../../models/adapters/continuation.ts'
import { startOf } from '../../models/adapters/initial.ts'
import { adapterChange, encodeUpdate } from '../../models/adapters/update-codec.ts'
import type { BackendName } from '../../models/backend/engine.ts'
import { readPeftAdapter } from '../../models/formats/peft.ts'
import type { Example } from '../../models/training/model.ts'
import { type Ready, RelayClient, type RoundStart, type WireMessage } from '../client/index.ts'
import {
  MAX_EXAMPLES,
  type Manifest,
  manifestDigest,
  PROGRESS_PAUSE_MS,
  ProtocolError,
  type Receipt,
  type Version,
} from '../protocol/index.ts'
import type { Console } from './console.ts'
import { bytes, loss } from './format.ts'
import { readData } from './local-data.ts'
import { trainHere } from './local-training.ts'
import { measure } from './measure.ts'
import { downloadModel, downloadStart, modelAhead } from './relay-download.ts'
import { type RunningModel, runModelOf } from './running-model.ts'

export interface ParticipantOptions {
  /** The relay's own address. */
  readonly url: string
  readonly room: string
  /** Where the room has a join code. */
  readonly code?: string | undefined
  readonly files: readonly string[]
  readonly backend: BackendName | 'auto'
  /** Sends how many examples the update stands for; otherwise it counts as one. */
  readonly tellExamples: boolean
  readonly console: Console
  readonly signal: AbortSignal
}

export interface Contributed {
  readonly manifest: Manifest
  readonly backend: BackendName
  readonly steps: number
  readonly tokensPerSecond: number
  /** Of the update's file. */
  readonly updateBytes: number
  /** Everything this participant sent over the socket, framing included. */
  readonly bytesSent: number
  readonly receipt: Receipt
  /** What the loss is, for people: `nats a token`. */
  readonly unit: string
  /** What speeds are counted in: `tokens`. */
  readonly counted: string
  /** Held-out loss. */
  readonly loss: { readonly base: number; readonly own: number }
}

export class Participant {
  readonly #options: ParticipantOptions
  readonly #client: RelayClient
  #bytesSent = 0
  #running: RunningModel | undefined
  #train: readonly Example[] = []
  #heldOut: readonly Example[] = []
  /** The room's own, before any round. */
  #initial: Adapter | undefined
  #manifest: Manifest | undefined

  constructor(options: ParticipantOptions) {
    this.#options = options
    this.#client = new RelayClient({
      onWire: ({ direction, bytes: count }: WireMessage) => {
        if (direction === 'out') this.#bytesSent += count
      },
    })
  }

  /**
   * The first contribution, or the only one. Throws ProtocolError, DataError, DeviceError. Nothing was sent unless it
   * returns.
   */
  async contribute(): Promise<Contributed> {
    const { url, room, code, files, backend, console, signal } = this.#options
    const leave = () => this.#client.close()
    signal.addEventListener('abort', leave, { once: true })
    const ready = await this.#client.join(url, room, undefined, code)
    if (ready.phase === 'sent') throw new ProtocolError('upload/second')
    const { manifest } = ready.membership
    this.#manifest = manifest
    const { form, rank, alpha, seed, modules } = manifest.adapter
    console.note(
      `Joined ${manifest.room}${manifest.title && ` (${manifest.title})`}: ${manifest.base.id}, ${manifest.recipe.steps} steps.`,
    )
    void this.#client.report({ stage: 'loading' })
    const remote = {
      ahead: modelAhead(url, manifest, signal),
      download: () => downloadModel(url, manifest, console, signal),
    }
    this.#running = await runModelOf(remote, backend, console, { ...manifest.recipe, rank, form })
    const start = await downloadStart(url, manifest, signal)
    this.#initial = startOf({ form, rank, alpha, modules }, seed, start)
    const split = await readData(files, this.#running, manifest.recipe.tokens, console)
    this.#train = split.train
    // A single example cannot be held out: then the loss is measured on what was trained on, and it is said.
    this.#heldOut = split.heldOut.length > 0 ? split.heldOut : split.train
    if (split.heldOut.length === 0)
      console.note('The data make a single example: loss is measured on what is trained on.')
    return this.#takePart(ready, split.heldOut)
  }

  /** Waits for the next round of a room that has several; null where none comes. Throws as `contribute`. */
  async contributeAgain(): Promise<Contributed | null> {
    const { console, signal } = this.#options
    const { state } = this.#client
    if (state.phase !== 'sent' || state.membership.manifest.mode?.kind !== 'rounds') return null
    console.note('Waiting for the next round …')
    const ready = await this.#client.nextRound(state, signal)
    if (!ready) return null
    try {
      return await this.#takePart(ready, this.#heldOut === this.#train ? [] : this.#heldOut)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code !== 'room/closed') throw error
      console.note('The room closed while this round was trained: it does not count.')
      return null
    }
  }

  /** One round from its start to its receipt. One whose time is over before it is sent is trained anew. */
  async #takePart(from: Ready, heldOut: readonly Example[]): Promise<Contributed> {
    const { console, signal } = this.#options
    for (let ready = from; ; ) {
      const origin = await this.#client.roundStart(signal)
      const start = await this.#startOf(origin)
      if (ready.membership.manifest.mode) console.note(`Round ${origin.round}.`)
      const training = this.#client.startTraining(ready)
      const base = await this.#measure(
        origin.version ? start : null,
        origin.version ? `Measuring version ${origin.version.version}` : 'Measuring the base model',
      )
      const trained = await this.#trainFrom(start, heldOut)
      const own = await this.#measure(trained.adapter, 'Measuring the adapter')
      const update = this.#packed(trained.adapter, start, origin)
      const reviewing = this.#client.review(training, update)
      const progress = console.progress('Sending', update.length, 'bytes')
      try {
        const { receipt } = await this.#client.send(reviewing, {
          signal,
          onProgress: (sent) => progress.update(sent),
        })
        progress.finish(`${bytes(update.length)}, loss ${loss(base)} -> ${loss(own)}`)
        return {
          manifest: ready.membership.manifest,
          backend: this.#running!.engine.backend,
          steps: trained.steps,
          tokensPerSecond: trained.tokensPerSecond,
          updateBytes: update.length,
          bytesSent: this.#bytesSent,
          receipt,
          unit: this.#running!.model.units.loss,
          counted: `${this.#running!.model.units.counted}s`,
          loss: { base, own },
        }
      } catch (error) {
        progress.abort()
        const { state } = this.#client
        const isLate = error instanceof ProtocolError && error.code === 'update/late'
        if (!isLate || state.phase !== 'sending-failed') throw error
        console.note(
          'The round was over before this update arrived: training again, from the newest version.',
        )
        ready = this.#client.startAgain(state)
      }
    }
  }

  #trainFrom(initial: Adapter, heldOut: readonly Example[]) {
    const { recipe, adapter } = this.#manifest!
    const { console, signal } = this.#options
    // Everyone sees its own examples in its own order.
    const seed = randomBytes(16).toString('hex')
    const { form } = adapter
    return trainHere(
      this.#running!,
      { initial, form, examples: this.#train, heldOut, recipe, seed, onStep: this.#tellSteps() },
      console,
      signal,
    )
  }

  /** For the host's console: a step now and then, as the protocol asks. */
  #tellSteps() {
    let toldAt = Number.NEGATIVE_INFINITY
    return (at: { step: number; steps: number; tokensPerSecond: number }) => {
      const now = performance.now()
      if (now - toldAt < PROGRESS_PAUSE_MS) return
      toldAt = now
      void this.#client.report({ stage: 'training', ...at })
    }
  }

  #packed(adapter: Adapter, start: Adapter, { version }: RoundStart): Uint8Array {
    const manifest = this.#manifest!
    const { form, rank, alpha, modules } = manifest.adapter
    const mayTell = this.#options.tellExamples
    return encodeUpdate({
      change: adapterChange(adapter, start, form),
      shape: { form, rank, alpha, modules },
      manifestDigest: manifestDigest(manifest),
      examples: mayTell ? Math.min(this.#train.length, manifest.limits.examples, MAX_EXAMPLES) : null,
      encoding: manifest.update.encoding,
      start: version?.digest ?? null,
      seed: randomBytes(16).toString('hex'),
    })
  }

  async #startOf({ version }: RoundStart): Promise<Adapter> {
    if (!version) return this.#initial!
    const file = (await this.#client.download(version)).get(CONTINUATION_FILE)
    if (!file) throw new ProtocolError('network/download')
    return readContinuation(file, this.#initial!, this.#manifest!.adapter.form ?? 'lora')
  }

  /** The first version that holds this participant's update. */
  async merged(contributed: Contributed): Promise<Version> {
    const { signal } = this.#options
    const { contribution, round } = contributed.receipt
    const includes = (one: Version) =>
      round === undefined ? one.contributions >= contribution : one.version >= round
    const known = this.#client.versions.find(includes)
    if (known) return known
    return new Promise((resolve, reject) => {
      const stop = this.#client.on('published', (version) => {
        if (!includes(version)) return
        stop()
        resolve(version)
      })
      const stopState = this.#client.on('state', (state) => {
        if (state.phase === 'failed') reject(state.error)
      })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      signal.addEventListener('abort', stopState, { once: true })
    })
  }

  /** Downloads a version and measures it on this participant's held-out data. */
  async measureVersion(version: Version): Promise<{ loss: number; adapter: Adapter }> {
    const folder = await this.#client.download(version)
    const config = folder.get('adapter_config.json')
    const weights = folder.get('adapter_model.safetensors')
    if (!config || !weights) throw new ProtocolError('network/download')
    const adapter = readPeftAdapter(config, weights)
    return { loss: await this.#measure(adapter, `Measuring version ${version.version}`), adapter }
  }

  async close(): Promise<void> {
    this.#client.close()
    await this.#running?.close()
    this.#running = undefined
  }

  async #measure(adapter: Adapter | null, label: string): Promise<number> {
    const { console, signal } = this.#options
    const { batch, tokens } = this.#manifest!.recipe
    const result = await measure(
      this.#running!.model,
      adapter,
      this.#heldOut,
      { batch, tokens },
      console,
      signal,
      label,
    )
    return result.loss
  }
}
