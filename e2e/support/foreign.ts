/**
 * A second server that nobody may reach: it would welcome whoever comes, and counts the bytes that arrive. Not the
 * connections: Chromium opens an empty one ahead of an iframe's navigation, before it asks the page's policy.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export class ForeignServer {
  bytesReceived = 0
  readonly requests: string[] = []
  readonly #server: http.Server

  private constructor() {
    this.#server = http.createServer((request, response) => {
      this.requests.push(`${request.method} ${request.url}`)
      response.writeHead(200, {
        'Access-Control-Allow-Origin': '*',
        'Cross-Origin-Resource-Policy': 'cross-origin',
        'Content-Type': 'text/javascript',
      })
      response.end('globalThis.reached = true')
    })
    this.#server.on('connection', (socket) => {
      socket.on('data', (chunk) => {
        this.bytesReceived += chunk.length
      })
    })
  }

  static async open(): Promise<ForeignServer> {
    const server = new ForeignServer()
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
