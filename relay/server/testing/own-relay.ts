/**
 * What each test of a file has for itself: a folder, the relay that keeps its data there, and clients. Closed after each
 * test: clients, then the relay, then the folder.
 */
import { afterEach, beforeEach } from 'vitest'
import { RelayClient } from '../../client/client.ts'
import type { Relay, RelayOptions } from '../server.ts'
import { startTestRelay, type TestFolder, temporaryFolder } from './round.ts'

export class OwnRelay {
  #folder: TestFolder | undefined
  #relay: Relay | undefined
  readonly #clients: RelayClient[] = []

  /** For a file's beginning: the same object through all its tests. */
  static forEachTest(): OwnRelay {
    const own = new OwnRelay()
    beforeEach(async () => {
      own.#folder = await temporaryFolder()
    })
    afterEach(async () => {
      for (const client of own.#clients.splice(0)) client.close()
      await own.#relay?.close()
      own.#relay = undefined
      await own.#folder?.[Symbol.asyncDispose]()
    })
    return own
  }

  /** The relay's data folder. */
  get folder(): string {
    if (!this.#folder) throw new Error('the folder is made before each test')
    return this.#folder.path
  }

  get relay(): Relay {
    if (!this.#relay) throw new Error('no relay was started')
    return this.#relay
  }

  /** On a free port; after a `relay.close()` again over the same data. */
  async start(changes: Partial<RelayOptions> = {}): Promise<Relay> {
    this.#relay = await startTestRelay(this.folder, changes)
    return this.#relay
  }

  client(options?: ConstructorParameters<typeof RelayClient>[0]): RelayClient {
    const client = new RelayClient(options)
    this.#clients.push(client)
    return client
  }

  /** A client who is in the room. */
  async joined(
    { room }: { readonly room: string },
    options: ConstructorParameters<typeof RelayClient>[0] = { giveUpAfterMs: 5000 },
  ): Promise<RelayClient> {
    const client = this.client(options)
    await client.join(this.relay.url, room)
    return client
  }
}
