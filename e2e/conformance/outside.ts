/** A relay seen from outside: plain socket.io-client and fetch. Keeps the results of the checks. */
import { io, type Socket } from 'socket.io-client'
import { type Manifest, sha256 } from './update-file.ts'

export interface CheckResult {
  readonly name: string
  readonly ok: boolean
  readonly found?: string
}

// biome-ignore lint/suspicious/noExplicitAny: answers are of a stranger; each check looks at what it needs.
export type Answer = any

export const TIMEOUT_MS = 15_000

export function expectThat(condition: boolean, found: unknown): void {
  if (!condition) throw new Error(`found ${JSON.stringify(found)?.slice(0, 300)}`)
}

export class Outside {
  readonly results: CheckResult[] = []
  readonly #relayUrl: string
  readonly #sockets: Socket[] = []

  constructor(relayUrl: string) {
    this.#relayUrl = relayUrl
  }

  readonly url = (path: string): string => new URL(path, this.#relayUrl).href
  readonly json = async (path: string): Promise<Answer> => (await fetch(this.url(path))).json()

  readonly connect = async (namespace = ''): Promise<Socket> => {
    const socket = io(this.url(namespace), {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
    })
    this.#sockets.push(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('connect_error', reject)
    })
    return socket
  }

  readonly ask = (socket: Socket, event: string, ...payload: unknown[]): Promise<Answer> =>
    socket.timeout(TIMEOUT_MS).emitWithAck(event, ...payload)

  readonly refused = async (code: string, answer: Promise<Answer>): Promise<Answer> => {
    const found = await answer
    expectThat(found.ok === false && found.code === code, found)
    return found
  }

  /** Asks until what is answered will do. */
  readonly until = async (ask: () => Promise<Answer>, will: (answer: Answer) => boolean): Promise<Answer> => {
    const endMs = performance.now() + TIMEOUT_MS
    for (;;) {
      const found = await ask()
      if (will(found)) return found
      if (performance.now() > endMs) throw new Error(`still ${JSON.stringify(found)?.slice(0, 300)}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  readonly check = async (name: string, run: () => Promise<void>): Promise<void> => {
    try {
      await run()
      this.results.push({ name, ok: true })
    } catch (error) {
      this.results.push({ name, ok: false, found: (error as Error).message })
    }
  }

  /** begin, the chunks, commit; the answer to the last. */
  readonly send = async (socket: Socket, manifest: Manifest, file: Buffer): Promise<Answer> => {
    const digest = sha256(file)
    const begun = await this.ask(socket, 'begin', { digest, bytes: file.length })
    expectThat(begun.ok === true && begun.offset === 0 && begun.receipt === null, begun)
    for (let offset = 0; offset < file.length; ) {
      const data = file.subarray(offset, offset + manifest.limits.chunkBytes)
      const answer = await this.ask(socket, 'chunk', { offset, data })
      expectThat(answer.ok === true && answer.offset === offset + data.length, answer)
      offset = answer.offset
    }
    return this.ask(socket, 'commit', { digest })
  }

  disconnect(): void {
    for (const socket of this.#sockets) socket.disconnect()
  }
}
