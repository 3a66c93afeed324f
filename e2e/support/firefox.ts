/**
 * Firefox, for what Chromium cannot show: that the page works where others run it. Playwright drives builds of its own; here
 * the system's is driven by the protocol it brings along: WebDriver's commands (https://www.w3.org/TR/webdriver2/) over
 * Marionette's socket. Few are needed: open an address, run a function in the page, take a picture.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'

const START_TIMEOUT_MS = 60_000
const POLL_MS = 200

export type Missing = { readonly missing: string }

export class Firefox {
  readonly version: string
  readonly #marionette: Marionette
  readonly #end: () => Promise<void>

  private constructor(version: string, marionette: Marionette, end: () => Promise<void>) {
    this.version = version
    this.#marionette = marionette
    this.#end = end
  }

  /** FIREFOX_PATH, or `firefox` or `firefox-esr` on the PATH. */
  static async open(): Promise<Firefox | Missing> {
    const program = process.env.FIREFOX_PATH || onPath('firefox') || onPath('firefox-esr')
    if (!program) return { missing: 'no Firefox: install it, or set FIREFOX_PATH' }
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-firefox-'))
    const prefs = { 'marionette.port': 0, 'datareporting.policy.dataSubmissionEnabled': false }
    const lines = Object.entries(prefs).map(([name, value]) => `user_pref("${name}", ${value});`)
    fs.writeFileSync(path.join(profile, 'user.js'), `${lines.join('\n')}\n`)
    const args = ['--headless', '--no-remote', '--marionette', '--profile', profile]
    const child = start(program, args)
    const end = async () => {
      await stop(child)
      fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    }
    try {
      const file = path.join(profile, 'MarionetteActivePort')
      const port = await until(() => (fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0))
      const marionette = await Marionette.connect(port)
      const { browserName, browserVersion } = await marionette.newSession()
      return new Firefox(`${browserName} ${browserVersion}`, marionette, end)
    } catch (error) {
      await end()
      throw new Error(`${program} could not be driven: ${String(error)}`, { cause: error })
    }
  }

  goto(url: string): Promise<void> {
    return this.#marionette.navigate(url)
  }

  /** Runs `body` in the page, serialised; what it answers must be JSON. */
  async evaluate<A extends readonly unknown[], T>(body: (...args: A) => T, ...args: A): Promise<T> {
    return (await this.#marionette.execute(`return (${body})(...arguments)`, args)) as T
  }

  /** Null where there is no such element. */
  text(testId: string): Promise<string | null> {
    return this.evaluate((id) => document.querySelector(`[data-testid="${id}"]`)?.textContent ?? null, testId)
  }

  /** Waits until the element is there and can be used. */
  async click(testId: string, timeoutMs = START_TIMEOUT_MS): Promise<void> {
    await until(
      () =>
        this.evaluate((id) => {
          const element = document.querySelector<HTMLButtonElement>(`[data-testid="${id}"]`)
          if (!element || element.disabled) return false
          element.click()
          return true
        }, testId),
      timeoutMs,
      `${testId} cannot be clicked`,
    )
  }

  async fill(testId: string, value: string): Promise<void> {
    await until(() =>
      this.evaluate(
        (id, typed) => {
          const element = document.querySelector<HTMLTextAreaElement>(`[data-testid="${id}"]`)
          if (!element) return false
          element.value = typed
          element.dispatchEvent(new Event('input', { bubbles: true }))
          return true
        },
        testId,
        value,
      ),
    )
  }

  /** The element's text, once it matches. */
  async waitForText(testId: string, pattern: RegExp, timeoutMs = START_TIMEOUT_MS): Promise<string> {
    const found = await until(
      async () => {
        const text = await this.text(testId)
        return text !== null && pattern.test(text) ? { text } : null
      },
      timeoutMs,
      `${testId} does not come to say ${pattern}`,
    )
    return found.text
  }

  async screenshot(): Promise<Buffer> {
    return Buffer.from(await this.#marionette.screenshot(), 'base64')
  }

  close(): Promise<void> {
    return this.#end()
  }
}

/** https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html: `length:[type, id, name or error, body]`. */
class Marionette {
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
    const { capabilities } = (await this.#send('WebDriver:NewSession', {})) as {
      capabilities: { browserName: string; browserVersion: string }
    }
    // The wait for a page that trains on wasm is the test's, not the driver's.
    await this.#send('WebDriver:SetTimeouts', { script: 600_000 })
    return capabilities
  }

  async navigate(url: string): Promise<void> {
    await this.#send('WebDriver:Navigate', { url })
  }

  async execute(script: string, args: readonly unknown[]): Promise<unknown> {
    const { value } = (await this.#send('WebDriver:ExecuteScript', { script, args })) as { value: unknown }
    return value
  }

  async screenshot(): Promise<string> {
    const { value } = (await this.#send('WebDriver:TakeScreenshot', { full: true })) as { value: string }
    return value
  }

  #send(name: string, parameters: object): Promise<unknown> {
    const id = ++this.#lastId
    const text = JSON.stringify([0, id, name, parameters])
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

function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file))
}

/** In a group of its own: the browser's other processes end with it. */
const start = (program: string, args: readonly string[]): ChildProcess =>
  spawn(program, args, { detached: true, stdio: 'ignore' })

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return
  const ended = once(child, 'exit')
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    child.kill('SIGKILL')
  }
  await ended
}

/** Asks until the answer is something; throws `what` after `timeoutMs`. */
async function until<T>(
  ask: () => T | Promise<T>,
  timeoutMs = START_TIMEOUT_MS,
  what = 'it does not come',
): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (performance.now() > end) throw new Error(what)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
