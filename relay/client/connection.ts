/**
 * A socket to one room that stays joined: after every drop it connects again and re-joins with the token, so that a
 * request only ever waits. Answers are parsed before anyone sees them.
 */
import { io, type Socket } from 'socket.io-client'
import * as v from 'valibot'
import { ProtocolError } from '../protocol/errors.ts'
import { PROTOCOL_VERSION } from '../protocol/limits.ts'
import {
  type Accepted,
  answers,
  type Begin,
  type Chunk,
  type ClientEvent,
  type Commit,
  type Join,
  type Progress,
  type Refusal,
  type RelayEvent,
  type RoomStatus,
  relayEvents,
  type Version,
  type Withdraw,
} from '../protocol/messages.ts'
import { checkSigned } from './signed.ts'
import { logFrames, type WireListener } from './wire-log.ts'

/** Proof of who this participant is, from an earlier join. */
export type ResumeToken = NonNullable<Join['resume']>

interface Payloads {
  join: Join
  begin: Begin
  chunk: Chunk
  commit: Commit
  withdraw: Withdraw
  progress: Progress
}

export interface ConnectionListener {
  /** After every join, the first included. */
  joined(answer: Accepted<'join'>): void
  online(isOnline: boolean): void
  status(status: RoomStatus): void
  published(version: Version): void
  retired(version: number): void
  withdrawn(by: 'participant' | 'host'): void
  /** The relay will not have this participant any more; the connection is closed. */
  ended(error: ProtocolError): void
}

export interface ConnectionOptions {
  readonly url: string
  readonly room: string
  /** Where the room has one. */
  readonly code?: string
  readonly resume?: ResumeToken
  readonly requestTimeoutMs: number
  readonly listener: ConnectionListener
  readonly onWire?: WireListener
}

/** A refusal that says where the relay stands. */
export class RefusedError extends ProtocolError {
  readonly offset: number | undefined
  constructor({ code, offset }: Refusal) {
    super(code)
    this.offset = offset
  }
}

export class Connection {
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  #resume: ResumeToken | undefined
  #isJoined = false
  #ended: ProtocolError | undefined
  readonly #waiting = new Set<{ resolve(): void; reject(error: ProtocolError): void }>()

  constructor(options: ConnectionOptions) {
    this.#options = options
    // Callers may pass a whole membership; the relay takes these two fields and no others.
    const { participant, token } = options.resume ?? {}
    if (participant !== undefined && token !== undefined) this.#resume = { participant, token }
    this.#socket = io(options.url, {
      autoConnect: false,
      forceNew: true,
      transports: ['websocket'],
      reconnectionDelay: 200,
      reconnectionDelayMax: 5000,
    })
    if (options.onWire) logFrames(this.#socket.io, options.onWire)
    this.#socket.on('connect', () => void this.#join())
    this.#socket.on('disconnect', (reason) => {
      this.#isJoined = false
      options.listener.online(false)
      // The relay's own goodbye is the one after which socket.io does not connect again by itself.
      if (reason === 'io server disconnect' && !this.#ended) this.#socket.connect()
    })
    this.#listen('status', (status) => options.listener.status(status))
    this.#listen('published', (version) => options.listener.published(version))
    this.#listen('retired', ({ version }) => options.listener.retired(version))
    this.#listen('withdrawn', ({ by }) => options.listener.withdrawn(by))
    this.#listen('refused', ({ code }) => {
      if (code.startsWith('join/') || code === 'room/deleted') this.#end(new ProtocolError(code))
    })
    this.#socket.connect()
  }

  /** Resolves once joined. Throws ProtocolError `network/unreachable`, or why the relay refused. */
  online(timeoutMs: number): Promise<void> {
    if (this.#isJoined) return Promise.resolve()
    if (this.#ended) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle.reject(new ProtocolError('network/unreachable')), timeoutMs)
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(settle)
      }
      const settle = {
        resolve() {
          done()
          resolve()
        },
        reject(error: ProtocolError) {
          done()
          reject(error)
        },
      }
      this.#waiting.add(settle)
    })
  }

  /**
   * Sends one message and waits for its answer. Throws RefusedError with the relay's code, ProtocolError
   * `network/unreachable` when the connection drops, `protocol/timeout`, `protocol/malformed` for an answer that
   * cannot be read.
   */
  async request<E extends ClientEvent>(event: E, payload: Payloads[E]): Promise<Accepted<E>> {
    if (this.#ended) throw this.#ended
    // socket.io would keep the message and send it after the next connect, before the room is joined again.
    if (!this.#socket.connected) throw new ProtocolError('network/unreachable')
    let answer: unknown
    try {
      answer = await this.#socket.timeout(this.#options.requestTimeoutMs).emitWithAck(event, payload)
    } catch (error) {
      const isDrop = !this.#socket.connected
      throw new ProtocolError(isDrop ? 'network/unreachable' : 'protocol/timeout', undefined, {
        cause: error,
      })
    }
    const parsed = v.safeParse(answers[event], answer)
    if (!parsed.success) throw new ProtocolError('protocol/malformed')
    const output = parsed.output as Accepted<E> | Refusal
    if (!output.ok) throw new RefusedError(output)
    return output
  }

  close(): void {
    this.#end(new ProtocolError('client/aborted'), false)
  }

  async #join(): Promise<void> {
    const { room, code, listener } = this.#options
    try {
      const join = { protocolVersion: PROTOCOL_VERSION, room } as const
      const answer = await this.request(
        'join',
        this.#resume ? { ...join, resume: this.#resume } : { ...join, ...(code !== undefined && { code }) },
      )
      this.#resume = { participant: answer.participant, token: answer.token }
      if (answer.receipt) await checkSigned(answer.receipt, answer.manifest)
      listener.joined(answer)
      this.#isJoined = true
      listener.online(true)
      for (const { resolve } of [...this.#waiting]) resolve()
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      if (error.code === 'network/unreachable') return // the next connect tries again
      if (error.code === 'protocol/timeout') {
        this.#socket.disconnect().connect()
        return
      }
      this.#end(error)
    }
  }

  #listen<E extends RelayEvent>(
    event: E,
    listener: (payload: v.InferOutput<(typeof relayEvents)[E]>) => void,
  ) {
    this.#socket.on(event as string, (payload: unknown) => {
      const parsed = v.safeParse(relayEvents[event], payload)
      if (parsed.success) listener(parsed.output as v.InferOutput<(typeof relayEvents)[E]>)
      else this.#end(new ProtocolError('protocol/malformed'))
    })
  }

  #end(error: ProtocolError, tell = true): void {
    if (this.#ended) return
    this.#ended = error
    this.#isJoined = false
    this.#socket.disconnect()
    for (const { reject } of [...this.#waiting]) reject(error)
    if (tell) this.#options.listener.ended(error)
  }
}
