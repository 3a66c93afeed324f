/**
 * A participant without a browser or a model: joins, says how far it is, and sends a small random change of the right
 * form. For tests in which many take part and nobody has to learn anything.
 */
import { startOf } from '../../models/adapters/initial.ts'
import { adapterChange, encodeUpdate } from '../../models/adapters/update-codec.ts'
import { RelayClient } from '../../relay/client/client.ts'
import type { Progress, Receipt } from '../../relay/protocol/messages.ts'

/** As a short run of training moves an entry. */
const SMALL_CHANGE = 0.004

export class NodeClient {
  readonly #client = new RelayClient()
  readonly #seed: number
  readonly #largest: number

  /** `largest`: no entry is changed by more. */
  constructor(seed: number, largest = SMALL_CHANGE) {
    this.#seed = seed
    this.#largest = largest
  }

  /** The participant's number. */
  async join(url: string, room: string, code?: string): Promise<string> {
    const { membership } = await this.#client.join(url, room, undefined, code)
    return membership.participant
  }

  report(progress: Progress): Promise<void> {
    return this.#client.report(progress)
  }

  /** In the round that is open. */
  async send(examples: number): Promise<Receipt> {
    const { membership } = this.#client
    if (!membership) throw new Error('not joined')
    const { manifest, manifestDigest } = membership
    const { adapter, update } = manifest
    const start = startOf(adapter, adapter.seed, null)
    // A linear congruential generator (Numerical Recipes): the same change for the same seed.
    let state = this.#seed
    const draw = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return (state / 2 ** 32 - 0.5) * 2 * this.#largest
    }
    const change = new Map(
      Array.from(adapterChange(start, start, adapter.form), ([name, values]) => [name, values.map(draw)]),
    )
    const { version } = await this.#client.roundStart()
    const shape = { form: adapter.form, rank: adapter.rank, alpha: adapter.alpha, modules: adapter.modules }
    const seed = String(this.#seed)
    return this.#client.upload(
      encodeUpdate({
        change,
        shape,
        manifestDigest,
        examples,
        encoding: update.encoding,
        seed,
        start: version?.digest ?? null,
      }),
    )
  }

  close(): void {
    this.#client.close()
  }
}
