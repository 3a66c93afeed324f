/**
 * Node's HTTP server as the relay wants it: it does not wait for slow senders for ever, holds only so many connections,
 * and what node would answer by itself has the headers of every other answer.
 */
import { createServer, type Server as HttpServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { MAX_SOCKETS } from '../protocol/limits.ts'
import { addressKey, HeldCount } from './address-limits.ts'
import { sendError } from './answers.ts'
import { applySecurityHeaders, securityHeaderLines } from './headers.ts'

export interface Patience {
  /** For the headers of a request: a slow sender holds a connection, and a class needs a second. */
  readonly headersMs: number
  /** For a whole request: a manifest of a megabyte over a bad line. */
  readonly requestMs: number
  /** Between two pings of a socket; one that misses its answer for as long again is gone. */
  readonly pingMs: number
}

export const DEFAULT_PATIENCE: Patience = { headersMs: 15_000, requestMs: 60_000, pingMs: 25_000 }

export interface HttpServerOptions {
  /** PEM texts; with them the server speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly patience: Patience
  /** Connections from one address follow from it; null where a proxy stands in front, whose address is everybody's. */
  readonly socketsPerAddress: number | null
}

export function createHttpServer(
  { tls, patience, socketsPerAddress }: HttpServerOptions,
  handler: RequestListener,
): HttpServer | HttpsServer {
  const options = {
    // Node would answer by itself, without the headers: http.ts and upgrades.ts ask for the Host.
    requireHostHeader: false,
    headersTimeout: patience.headersMs,
    requestTimeout: patience.requestMs,
    // How often node looks for those that took too long.
    connectionsCheckingInterval: Math.ceil(patience.headersMs / 4),
  }
  const http = tls ? createTlsServer({ ...tls, ...options }, handler) : createServer(options, handler)
  http.on('checkExpectation', (_, response) => {
    applySecurityHeaders(response)
    response.setHeader('Connection', 'close')
    sendError(response, 'request/expectation')
  })
  http.on('clientError', answerClientError)
  limitConnections(http, socketsPerAddress === null ? null : CONNECTIONS_A_SOCKET * socketsPerAddress)
  return http
}

/** A browser opens up to six connections to load a page, and one that stays. */
const CONNECTIONS_A_SOCKET = 4

/** Connections beyond what the process can hold open are not accepted; beyond one address's share they are ended. */
function limitConnections(http: HttpServer | HttpsServer, perAddress: number | null): void {
  http.maxConnections = 4 * MAX_SOCKETS
  if (perAddress === null) return
  const held = new HeldCount(perAddress)
  http.on('connection', (socket: Socket) => {
    const address = addressKey(socket.remoteAddress)
    if (held.isFull(address)) {
      socket.destroy()
      return
    }
    held.add(address)
    socket.once('close', () => held.remove(address))
  })
}

/** What is not HTTP gets an answer in HTTP, with the headers of every other answer. */
function answerClientError(_error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  socket.write(
    `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n${securityHeaderLines()}\r\n`,
  )
  // Not `end`: whoever neither reads nor closes would hold the connection half open for ever.
  socket.destroySoon()
}
