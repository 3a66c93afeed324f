/** One of the demo's three people, whatever runs for them: a Chromium tab or a Node process. */
import type { BackendName } from '../../models/backend/engine.ts'

/** What a client did before it went. */
export interface Contribution {
  readonly backend: BackendName
  readonly steps: number
  readonly tokensPerSecond: number
  /** What speed is counted in: `tokens`. */
  readonly counted: string
  /** What the loss is: `nats a token`. */
  readonly unit: string
  /** Over the socket, framing included. */
  readonly bytesSent: number
}

/** Held-out loss. */
export interface Losses {
  readonly base: number
  readonly own: number
  readonly merged: number
}

export interface DemoClient {
  readonly name: string
  /** Joins, trains on the client's own data, sends one update, and goes. */
  contribute(): Promise<Contribution>
  /** Comes back for the merged version and measures it on the held-out part of its own data. */
  measure(mergedFolder: string): Promise<Losses>
}

export interface DemoClients {
  /** `three Chromium tabs` or `three Node processes`. */
  readonly description: string
  /** `data`: a file, or a folder of files. */
  create(name: string, data: string): DemoClient
  close(): Promise<void>
}

export interface Meeting {
  readonly joinUrl: string
  readonly words: Pick<Contribution, 'counted' | 'unit'>
  /** Tells the person watching. */
  readonly say: (client: string, text: string) => void
  readonly signal: AbortSignal
}
