/**
 * `host --gate FILE`: measures each candidate version on data of the host's own, in a process of its own (`oneround
 * eval`), so that the relay loads no tensor library and a measurement that runs out of memory takes nothing with it.
 * The base model is measured once. A candidate that cannot be measured stays where it is: nothing is published unseen.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as v from 'valibot'
import type { Digest } from '../protocol/index.ts'
import type { Measured } from '../protocol/measured.ts'
import type { WaitingCandidate } from '../server/server.ts'
import type { Console } from './console.ts'
import { loss as shownLoss } from './format.ts'

const PROGRAM = fileURLToPath(new URL('./main.ts', import.meta.url))

/** Of eval's one JSON object. */
const MAX_OUTPUT_BYTES = 1024 * 1024

const measurementSchema = v.looseObject({
  loss: v.pipe(v.number(), v.finite(), v.minValue(0)),
  unit: v.string(),
})
type Measurement = v.InferOutput<typeof measurementSchema>

export interface GateOptions {
  /** As `--model` was given; undefined for the embedded one. */
  readonly model: string | undefined
  /** The host's own text, or pictures. */
  readonly file: string
  readonly console: Console
  readonly signal: AbortSignal
  /** Relay.judge. */
  readonly judge: (room: string, digest: Digest, measured: Measured) => Promise<boolean>
}

export class Gate {
  readonly #options: GateOptions
  #base: Promise<Measurement> | undefined
  /** One at a time: each takes the whole machine. */
  #measuring: Promise<void> = Promise.resolve()

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** Measures it and tells the relay; what goes wrong is said on the console. */
  candidate(candidate: WaitingCandidate): Promise<void> {
    this.#measuring = this.#measuring.then(() => this.#measure(candidate))
    return this.#measuring
  }

  async #measure({ room, digest, contributions, folder }: WaitingCandidate): Promise<void> {
    const { console, judge, file, signal } = this.#options
    try {
      console.note(`Measuring the next version, of ${contributions} contributions, on ${file} …`)
      this.#base ??= this.#evaluate()
      const base = await this.#base
      const { loss } = await this.#evaluate(folder)
      const figures = `held-out loss ${shownLoss(loss)}, base ${shownLoss(base.loss)} ${base.unit}`
      if (await judge(room, digest, { baseLoss: base.loss, loss })) console.note(`Published: ${figures}.`)
      else
        console.note(
          `WARNING: held back, worse than the base (${figures}). Look at the contributions in the host's console: remove what spoils it, or publish it anyway.`,
        )
    } catch (error) {
      if (signal.aborted) return
      this.#base = undefined
      console.note(
        `oneround: the next version could not be measured and waits: ${error instanceof Error ? error.message : error}`,
      )
    }
  }

  async #evaluate(adapter?: string): Promise<Measurement> {
    const { model, file, signal } = this.#options
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '--import',
        import.meta.resolve('tsx'),
        PROGRAM,
        'eval',
        ...(model === undefined ? [] : ['--model', model]),
        ...(adapter === undefined ? [] : ['--adapter', adapter]),
        '--data',
        file,
        '--json',
      ],
      { signal, maxBuffer: MAX_OUTPUT_BYTES },
    ).catch((error: Error & { stdout?: string }) => {
      throw new Error(error.stdout?.trim() || error.message, { cause: error })
    })
    return v.parse(measurementSchema, JSON.parse(stdout))
  }
}
