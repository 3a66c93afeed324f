/**
 * Requests with an Upgrade header. Only a WebSocket on the relay's socket address is one; engine.io and ws would
 * refuse a wrong one with bytes of their own, without the security headers, so everything they could refuse is
 * refused here first. Any other upgrade is ignored, as RFC 9110 (section 7.8) lets a server: Java's HTTP client and
 * `curl --http2` offer HTTP/2 with a plain GET, and get their answer over HTTP/1.1.
 */
import { type Server as HttpServer, type IncomingMessage, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ErrorCode } from '../protocol/errors.ts'
import { sendError } from './answers.ts'
import { applySecurityHeaders, hasHost } from './headers.ts'

export const SOCKET_PATH = '/socket.io/'

export interface UpgradeOptions {
  readonly http: HttpServer | HttpsServer
  /** Why this client may not connect, or null; asked only about well-formed requests. */
  readonly refusal: (request: IncomingMessage) => ErrorCode | null
  /** Takes the connection over. */
  readonly accept: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

/** Replaces the server's upgrade listeners. The function returned ends answers that are still under way. */
export function routeUpgrades({ http, refusal, accept }: UpgradeOptions): () => void {
  const answering = new Set<Duplex>()
  http.removeAllListeners('upgrade')
  http.on('upgrade', (request, socket, head) => {
    const isSocketPath = request.url?.startsWith(SOCKET_PATH) ?? false
    const refused = isSocketPath ? (handshakeError(request) ?? refusal(request)) : bodyError(request)
    if (isSocketPath && refused === null) {
      // The relay speaks no subprotocol, and ws would answer a malformed one in its own way.
      delete request.headers['sec-websocket-protocol']
      accept(request, socket, head)
      return
    }
    answering.add(socket)
    socket.once('close', () => answering.delete(socket))
    const response = responseOn(request, socket)
    if (refused === null) {
      http.emit('request', request, response)
    } else {
      applySecurityHeaders(response)
      // What a client needs to know to do better (RFC 6455, section 4.4).
      if (isSocketPath) response.setHeader('Sec-WebSocket-Version', '13')
      sendError(response, refused)
    }
  })
  return () => {
    for (const socket of answering) socket.destroy()
  }
}

/** Everything that engine.io and ws ask of an opening handshake (RFC 6455, section 4.2.1). */
function handshakeError(request: IncomingMessage): ErrorCode | null {
  const { method, url = '', headers } = request
  if (method !== 'GET') return 'request/method'
  const queryStart = url.indexOf('?')
  const query = new URLSearchParams(queryStart < 0 ? '' : url.slice(queryStart))
  const has = (name: string, value: string) => {
    const values = query.getAll(name)
    return values.length === 1 && values[0] === value
  }
  const isWellFormed =
    has('transport', 'websocket') &&
    has('EIO', '4') &&
    !query.has('sid') &&
    hasHost(request) &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')
  return isWellFormed ? null : 'request/malformed'
}

/** The parser has let go of the connection, so a body could not be read any more. */
function bodyError({ method }: IncomingMessage): ErrorCode | null {
  return method === 'GET' || method === 'HEAD' ? null : 'request/malformed'
}

/** An answer over a connection that the HTTP server has given away; ends with it. */
function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  socket.on('error', () => socket.destroy())
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket as Socket)
  response.once('finish', () => {
    response.detachSocket(socket as Socket)
    socket.end()
  })
  response.once('close', () => {
    if (!response.writableFinished) socket.destroy()
  })
  return response
}
