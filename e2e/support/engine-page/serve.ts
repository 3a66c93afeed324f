/**
 * Builds the engine tests' page as the product's page is built (its configuration, its treatment of tfjs's wasm)
 * into a temporary folder, and serves it with the relay's headers beside the fixtures.
 */
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { build } from 'vite'
import { ProtocolError } from '../../../relay/protocol/errors.ts'
import { applySecurityHeaders } from '../../../relay/server/headers.ts'
import { REVALIDATE, sendFile } from '../../../relay/server/send-file.ts'

const projectRoot = path.resolve(import.meta.dirname, '../../..')

export class EnginePage {
  readonly url: string
  readonly #server: http.Server
  readonly #folder: string

  private constructor(server: http.Server, folder: string) {
    this.#server = server
    this.#folder = folder
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  }

  static async open(): Promise<EnginePage> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-engine-page-'))
    await build({
      configFile: path.join(projectRoot, 'vite.config.ts'),
      root: import.meta.dirname,
      build: { outDir: folder, emptyOutDir: true },
      logLevel: 'warn',
    })
    const server = http.createServer((request, response) => {
      applySecurityHeaders(response)
      const { pathname } = new URL(request.url ?? '/', 'http://localhost')
      const file = pathname.startsWith('/models/')
        ? path.join(projectRoot, pathname)
        : path.join(folder, pathname === '/' ? 'index.html' : pathname)
      sendFile(request, response, { path: file, cacheControl: REVALIDATE }).catch((error) => {
        response.writeHead(error instanceof ProtocolError ? 404 : 500).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new EnginePage(server, folder)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    fs.rmSync(this.#folder, { recursive: true, force: true })
  }
}
