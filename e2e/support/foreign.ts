/** A second server that nobody may reach: it counts what comes, connections included, and would welcome it. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export class ForeignServer {
  connections = 0
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
    this.#server.on('connection', () => {
      this.connections++
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
