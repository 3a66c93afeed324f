/**
 * A recording gate between one tab and the relay: the tab is given the gate's address, and everything it sends
 * and every answer's headers are kept. It sits outside the browser, so that nothing a page, a worker or the
 * browser itself sends to its origin can be missed, and counts the bytes of the connections themselves.
 */
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import net from 'node:net'
import { WebSocketFrames } from './websocket-frames.ts'

export interface RecordedRequest {
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** What a request takes on the wire (HTTP/1.1, whose header lines arrive here in pairs, as they were sent). */
export function requestBytes({ method, path, headers, body }: RecordedRequest): number {
  const colonsAndEnds = headers.length * 2
  return headers.reduce(
    (sum, text) => sum + Buffer.byteLength(text),
    `${method} ${path} HTTP/1.1\r\n\r\n`.length + colonsAndEnds + body.length,
  )
}

export interface RecordedResponse {
  readonly path: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

export class WireGate {
  readonly requests: RecordedRequest[] = []
  readonly responses: RecordedResponse[] = []
  /** Payloads of what the tab sent over WebSockets, unmasked, a message each. */
  readonly messages: Buffer[] = []
  /** All of it piece by piece, in the order in which it was sent, as a search for leaks wants it. */
  readonly sent: Buffer[] = []
  readonly #target: URL
  readonly #server: http.Server
  #socketBytes = 0
  #held: { readonly afterBytes: number; readonly waiting: [net.Socket, Buffer][] } | null = null
  readonly #sockets = new Set<Socket>()
  #closedBytes = 0

  private constructor(target: URL) {
    this.#target = target
    this.#server = http.createServer((request, response) => this.#forward(request, response))
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        this.#closedBytes += socket.bytesRead
      })
    })
  }

  static async open(target: string): Promise<WireGate> {
    const gate = new WireGate(new URL(target))
    await new Promise<void>((resolve) => gate.#server.listen(0, '127.0.0.1', resolve))
    return gate
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Bytes that the tab has put on the wire: request lines, headers, bodies and socket frames. */
  get bytesSent(): number {
    let bytes = this.#closedBytes
    for (const socket of this.#sockets) bytes += socket.bytesRead
    return bytes
  }

  /** From the next socket bytes on: so many more pass, and what comes after them waits as on a network that stalls. */
  hold(afterBytes: number): void {
    this.#held = { afterBytes: this.#socketBytes + afterBytes, waiting: [] }
  }

  /** Whether something waits. */
  get isHolding(): boolean {
    return (this.#held?.waiting.length ?? 0) > 0
  }

  /** What waits goes on, as far as its connection still stands. */
  release(): void {
    for (const [onward, chunk] of this.#held?.waiting ?? []) if (!onward.destroyed) onward.write(chunk)
    this.#held = null
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #record(request: IncomingMessage, body: Buffer): void {
    const { method = '', url = '', rawHeaders } = request
    this.requests.push({ method, path: url, headers: rawHeaders, body })
    this.sent.push(Buffer.from([`${method} ${url}`, ...rawHeaders].join('\n')), body)
  }

  /** The relay sees the gate's address as its own host, so that its check of the origin is the real one. */
  #forward(request: IncomingMessage, response: http.ServerResponse): void {
    const parts: Buffer[] = []
    request.on('data', (part) => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts)
      this.#record(request, body)
      const onward = http.request(
        this.#target,
        { method: request.method, path: request.url, headers: request.headers, agent: false },
        (answer) => {
          const { statusCode: status = 0, headers } = answer
          this.responses.push({ path: request.url ?? '', status, headers })
          response.writeHead(status, headers)
          answer.pipe(response)
        },
      )
      // The relay is down: so it is for the tab.
      onward.on('error', () => request.socket.destroy())
      onward.end(body)
    })
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#record(request, Buffer.alloc(0))
    const frames = new WebSocketFrames((message) => {
      this.messages.push(message)
      this.sent.push(message)
    })
    const onward = net.connect(Number(this.#target.port), this.#target.hostname)
    const lines = [`${request.method} ${request.url} HTTP/1.1`]
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`)
    }
    onward.write(`${lines.join('\r\n')}\r\n\r\n`)
    const pass = (chunk: Buffer) => {
      frames.read(chunk)
      this.#socketBytes += chunk.length
      if (this.#held && this.#socketBytes > this.#held.afterBytes) this.#held.waiting.push([onward, chunk])
      else onward.write(chunk)
    }
    if (head.length > 0) pass(head)
    socket.on('data', pass)
    onward.pipe(socket)
    onward.once('data', (first: Buffer) => this.#recordUpgradeAnswer(request.url ?? '', first))
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ]) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  }

  #recordUpgradeAnswer(path: string, first: Buffer): void {
    const [statusLine, ...lines] = first.toString('latin1').split('\r\n\r\n')[0].split('\r\n')
    const headers: IncomingHttpHeaders = {}
    for (const line of lines) {
      const colon = line.indexOf(':')
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
    }
    this.responses.push({ path, status: Number(statusLine.split(' ')[1]), headers })
  }
}
