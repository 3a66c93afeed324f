/**
 * The socket side: parses each message, lets the room handle it, answers with an ack. One socket joins one room as
 * one participant. Whatever arrives, the answer is a code and the relay goes on.
 */
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Logger } from 'pino'
import { Server, type Socket } from 'socket.io'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { JOIN_TIMEOUT_MS, MAX_MESSAGE_BYTES, MAX_PENDING_MESSAGES, MAX_SOCKETS } from '../protocol/limits.ts'
import { type ClientMessage, type Join, parseClientMessage, type Refusal } from '../protocol/messages.ts'
import { diskError } from '../store/disk-errors.ts'
import { type AddressLimits, clientAddress, HeldCount, RateLimit } from './address-limits.ts'
import { SECURITY_HEADERS } from './headers.ts'
import type { RelayMetrics } from './metrics.ts'
import type { Room } from './room.ts'
import { routeUpgrades, SOCKET_PATH } from './upgrades.ts'
import { OffsetError } from './uploads.ts'

export interface SocketOptions {
  readonly http: HttpServer | HttpsServer
  /** Throws ProtocolError `room/unknown` or `room/deleted`. */
  readonly findRoom: (name: string) => Room
  /** Origins besides the relay's own whose pages may connect. */
  readonly allowedOrigins: readonly string[]
  readonly log: Logger
  readonly joinTimeoutMs?: number
  readonly pingMs: number
  readonly limits: AddressLimits
  /** Wrong join codes and host tokens, by address. */
  readonly wrongSecrets: RateLimit
  readonly trustProxy: boolean
  readonly metrics: RelayMetrics
}

interface Joined {
  readonly room: Room
  readonly participant: string
}

/** socket.io's room of one participant's socket. No room of ours has a line feed in its name. */
export const participantChannel = (room: string, participant: string) => `${room}\n${participant}`

type Ack = (answer: unknown) => void

export interface Sockets {
  readonly server: Server
  /** Ends the connections of all who are in the room, each told why. */
  dismissRoom(room: string, code: ErrorCode): void
  /** Ends every connection, after what is being handled is answered; resolves when the HTTP server has closed. */
  close(): Promise<void>
}

export function attachSockets(options: SocketOptions): Sockets {
  const { http, log, limits, wrongSecrets, trustProxy, metrics } = options
  const heldSockets = new HeldCount(limits.sockets)
  const newParticipants = new RateLimit(limits.joinsPerMinute)
  const server = new Server(http, {
    // Long polling would be a second way in with other limits; every browser that trains speaks WebSocket.
    transports: ['websocket'],
    maxHttpBufferSize: MAX_MESSAGE_BYTES,
    // Updates are noise to a compressor, and a compressor costs memory a socket.
    perMessageDeflate: false,
    httpCompression: false,
    serveClient: false,
    path: SOCKET_PATH,
    pingInterval: options.pingMs,
    pingTimeout: options.pingMs,
  })
  const endAnswers = routeUpgrades({
    http,
    refusal(request) {
      const refused =
        refusal(request, options.allowedOrigins, server) ??
        (heldSockets.isFull(clientAddress(request, trustProxy)) ? 'join/too-many' : null)
      if (refused) metrics.refused(refused)
      if (refused) log.warn({ code: refused }, 'connection refused')
      return refused
    },
    accept(request, socket, head) {
      const address = clientAddress(request, trustProxy)
      heldSockets.add(address)
      socket.once('close', () => heldSockets.remove(address))
      server.engine.handleUpgrade(request, socket, head)
    },
  })
  server.engine.on('headers', (headers: Record<string, string>) => Object.assign(headers, SECURITY_HEADERS))
  /** By room and participant: the newest socket is the one that counts. */
  const current = new Map<string, Socket>()
  /** Messages whose answers are still to come. */
  const handling = new Set<Promise<void>>()

  server.on('connection', (socket) => {
    const address = clientAddress(socket.request, trustProxy)
    let joined: Joined | undefined
    let pending = 0
    const timeout = setTimeout(
      () => dismiss(socket, 'join/timeout'),
      options.joinTimeoutMs ?? JOIN_TIMEOUT_MS,
    )

    /** By address only for who has no token yet; wrong codes are counted before the next is compared. */
    const admit = (room: Room, join: Join) => {
      if (join.resume) return room.join(join)
      if (!wrongSecrets.has(address) || !newParticipants.take(address)) {
        throw new ProtocolError('request/too-often')
      }
      try {
        return room.join(join)
      } catch (error) {
        if (error instanceof ProtocolError && error.code === 'join/code') wrongSecrets.take(address)
        throw error
      }
    }

    const handle = async (message: ClientMessage): Promise<unknown> => {
      if (message.event === 'join') {
        if (joined) throw new ProtocolError('protocol/already-joined')
        const room = options.findRoom(message.payload.room)
        const answer = admit(room, message.payload)
        joined = { room, participant: answer.participant }
        clearTimeout(timeout)
        const key = `${room.store.room}\n${answer.participant}`
        const earlier = current.get(key)
        current.set(key, socket)
        if (earlier) dismiss(earlier, 'join/replaced')
        void socket.join([room.store.room, participantChannel(room.store.room, answer.participant)])
        room.announceStatus()
        return answer
      }
      if (!joined) throw new ProtocolError('protocol/not-joined')
      const { room, participant } = joined
      if (current.get(`${room.store.room}\n${participant}`) !== socket)
        throw new ProtocolError('join/replaced')
      switch (message.event) {
        case 'begin':
          return room.begin(participant, message.payload)
        case 'chunk':
          return room.chunk(participant, message.payload)
        case 'commit':
          return room.commit(participant, message.payload)
        case 'withdraw':
          return room.withdraw(participant, message.payload)
        case 'progress':
          return room.progress(participant, message.payload)
        default:
          return message satisfies never
      }
    }

    const answerMessage = async (event: unknown, rest: unknown[]): Promise<void> => {
      const last = rest.at(-1)
      const ack = typeof last === 'function' ? (rest.pop() as Ack) : undefined
      const answer: Ack = (result) => (ack ? ack(result) : socket.emit('refused', result))
      if (pending >= MAX_PENDING_MESSAGES) return answer(refusalOf('protocol/busy'))
      pending++
      const startedMs = performance.now()
      try {
        const message = parseClientMessage(event, rest.length === 1 ? rest[0] : undefined)
        if (!ack) throw new ProtocolError('protocol/malformed')
        const result = await handle(message)
        answer(result)
        metrics.answered(message.event, (performance.now() - startedMs) / 1000)
        if (message.event === 'chunk') metrics.received(message.payload.data.byteLength)
      } catch (error) {
        const refused = answerTo(error, log)
        metrics.refused(refused.code)
        answer(refused)
      } finally {
        pending--
      }
    }
    socket.onAny((event: unknown, ...rest: unknown[]) => {
      const answered = answerMessage(event, rest).finally(() => handling.delete(answered))
      handling.add(answered)
    })

    socket.on('disconnect', () => {
      clearTimeout(timeout)
      if (!joined) return
      const { room, participant } = joined
      const key = `${room.store.room}\n${participant}`
      if (current.get(key) !== socket) return
      current.delete(key)
      room.leave(participant)
    })
  })
  return {
    server,
    dismissRoom(room, code) {
      const ids = [...(server.sockets.adapter.rooms.get(room) ?? [])]
      for (const id of ids) {
        const socket = server.sockets.sockets.get(id)
        if (socket) dismiss(socket, code)
      }
    },
    async close() {
      endAnswers()
      await Promise.all(handling)
      await Promise.all([...server.sockets.sockets.values()].map(({ conn }) => closeWritten(conn)))
      const closed = server.close()
      http.closeAllConnections()
      await closed
    },
  }
}

/** Whoever does not take what was written is not waited for longer. */
const LAST_WORDS_MS = 1_000

/** Once all that was said is written; engine.io's own server would throw it away. */
function closeWritten(connection: Socket['conn']): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LAST_WORDS_MS)
    connection.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    connection.close()
  })
}

/** A WebSocket is not bound by the same-origin policy, so the relay looks at who asks. */
function refusal(request: IncomingMessage, allowed: readonly string[], server: Server): ErrorCode | null {
  if (server.engine.clientsCount >= MAX_SOCKETS) return 'join/too-many'
  const { origin, host } = request.headers
  // Programs outside a browser send no origin.
  if (origin === undefined || allowed.includes(origin)) return null
  const isOwn = URL.canParse(origin) && new URL(origin).origin === origin && new URL(origin).host === host
  return isOwn ? null : 'join/origin'
}

function dismiss(socket: Socket, code: ErrorCode): void {
  socket.emit('refused', refusalOf(code))
  socket.disconnect(true)
}

const refusalOf = (code: ErrorCode, offset?: number): Refusal =>
  offset === undefined ? { ok: false, code } : { ok: false, code, offset }

function answerTo(error: unknown, log: Logger): Refusal {
  if (error instanceof OffsetError) return refusalOf(error.code, error.offset)
  if (error instanceof ProtocolError) {
    log.warn({ code: error.code }, 'message refused')
    return refusalOf(error.code)
  }
  log.error({ err: error }, 'a message could not be handled')
  return refusalOf(diskError(error) ?? 'relay/internal')
}
