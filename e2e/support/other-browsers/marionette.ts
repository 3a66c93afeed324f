/**
 * WebDriver's commands over the socket that Firefox brings along, `length:[type, id, name or error, body]`:
 * https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
 */
import { once } from 'node:events'
import net from 'node:net'
import type { Commands } from './commands.ts'

/** Steps on wasm keep a page from answering; how long is for the test to judge. */
const SCRIPT_TIMEOUT_MS = 600_000

export class Marionette implements Commands {
  readonly #socket: net.Socket
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #pending = Buffer.alloc(0)
  #lastId = 0

  private constructor(socket: net.Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('close', () => this.#failAll('Firefox has ended'))
    socket.on('error', (error) => this.#failAll(error.message))
  }

  static async connect(port: number): Promise<Marionette> {
    const socket = net.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new Marionette(socket)
  }

  async newSession() {
    const { capabilities } = (await this.#send('NewSession', {})) as {
      capabilities: { browserName: string; browserVersion: string }
    }
    await this.#send('SetTimeouts', { script: SCRIPT_TIMEOUT_MS })
    return capabilities
  }

  async navigate(url: string): Promise<void> {
    await this.#send('Navigate', { url })
  }

  async reload(): Promise<void> {
    await this.#send('Refresh', {})
  }

  async execute(script: string, args: readonly unknown[]): Promise<unknown> {
    const { value } = (await this.#send('ExecuteScript', { script, args })) as { value: unknown }
    return value
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#send('SetWindowRect', { width, height })
  }

  async screenshot(): Promise<string> {
    const { value } = (await this.#send('TakeScreenshot', { full: false })) as { value: string }
    return value
  }

  #send(name: string, parameters: object): Promise<unknown> {
    const id = ++this.#lastId
    const text = JSON.stringify([0, id, `WebDriver:${name}`, parameters])
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#socket.write(`${Buffer.byteLength(text)}:${text}`)
    })
  }

  #read(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
    for (;;) {
      const colon = this.#pending.indexOf(':')
      const end = colon + 1 + Number(this.#pending.subarray(0, Math.max(0, colon)).toString())
      if (colon < 0 || this.#pending.length < end) return
      const message = JSON.parse(this.#pending.subarray(colon + 1, end).toString('utf8'))
      this.#pending = this.#pending.subarray(end)
      // The first says which protocol this is.
      if (!Array.isArray(message)) continue
      const [, id, error, result] = message
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waiting?.reject(new Error(`${error.error}: ${error.message}`))
      else waiting?.resolve(result)
    }
  }

  #failAll(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(why))
    this.#waiting.clear()
  }
}
