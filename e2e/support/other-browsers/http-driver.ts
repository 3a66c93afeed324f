/** WebDriver as it is specified, over HTTP: https://www.w3.org/TR/webdriver2/#endpoints */
import type { Commands } from './commands.ts'

/** Steps on wasm keep a page from answering; how long is for the test to judge. */
const SCRIPT_TIMEOUT_MS = 600_000

export class HttpDriver implements Commands {
  readonly #url: string
  readonly #capabilities: object
  #session = ''

  /** `capabilities` go into `alwaysMatch`. */
  constructor(url: string, capabilities: object) {
    this.#url = url
    this.#capabilities = capabilities
  }

  async newSession() {
    const { sessionId, capabilities } = (await this.#send('POST', '/session', {
      capabilities: { alwaysMatch: this.#capabilities },
    })) as { sessionId: string; capabilities: { browserName: string; browserVersion: string } }
    this.#session = `/session/${sessionId}`
    await this.#command('POST', 'timeouts', { script: SCRIPT_TIMEOUT_MS })
    return capabilities
  }

  async navigate(url: string): Promise<void> {
    await this.#command('POST', 'url', { url })
  }

  async reload(): Promise<void> {
    await this.#command('POST', 'refresh', {})
  }

  execute(script: string, args: readonly unknown[]): Promise<unknown> {
    return this.#command('POST', 'execute/sync', { script, args })
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#command('POST', 'window/rect', { width, height })
  }

  async screenshot(): Promise<string> {
    return (await this.#command('GET', 'screenshot')) as string
  }

  #command(method: string, name: string, body?: object): Promise<unknown> {
    return this.#send(method, `${this.#session}/${name}`, body)
  }

  async #send(method: string, where: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${this.#url}${where}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    })
    const { value } = (await answer.json()) as { value: unknown }
    if (!answer.ok) throw new Error(`${where}: ${JSON.stringify(value)}`)
    return value
  }
}
