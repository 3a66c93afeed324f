/**
 * A browser that is not Chromium, for what Chromium cannot show: that the page works where others run it. Playwright drives
 * builds of its own; here the system's are driven by the protocol they bring along. Elements are found by `data-testid`.
 */
import type { Commands } from './commands.ts'
import { until, WAIT_MS } from './programs.ts'

/** Where the page says what does not work. */
const COMPLAINTS = ['error', 'device-lost', 'device-problem']

export class OtherBrowser {
  readonly version: string
  readonly #commands: Commands
  readonly #end: () => Promise<void>

  private constructor(version: string, commands: Commands, end: () => Promise<void>) {
    this.version = version
    this.#commands = commands
    this.#end = end
  }

  /** `end` takes away what was started for it, also where it cannot be driven. */
  static async open(
    program: string,
    end: () => Promise<void>,
    connect: () => Promise<Commands>,
  ): Promise<OtherBrowser> {
    try {
      const commands = await connect()
      const { browserName, browserVersion } = await commands.newSession()
      return new OtherBrowser(`${browserName} ${browserVersion}`, commands, end)
    } catch (error) {
      await end()
      throw new Error(`${program} could not be driven: ${String(error)}`, { cause: error })
    }
  }

  goto(url: string): Promise<void> {
    return this.#commands.navigate(url)
  }

  reload(): Promise<void> {
    return this.#commands.reload()
  }

  /** Of the window, in CSS pixels, as far as it lets itself be; returns when the page is drawn anew. */
  async resize(width: number, height: number): Promise<void> {
    await this.#commands.resize(width, height)
    await this.evaluate(async () => {
      for (let frame = 0; frame < 3; frame += 1)
        await new Promise((resolve) => requestAnimationFrame(() => resolve(null)))
    })
  }

  /** Runs `body` in the page, serialised; what it answers, or its promise resolves to, must be JSON. */
  async evaluate<A extends readonly unknown[], T>(
    body: (...args: A) => T | Promise<T>,
    ...args: A
  ): Promise<T> {
    return (await this.#commands.execute(`return (${body})(...arguments)`, args)) as T
  }

  /** Null where there is no such element. */
  text(testId: string): Promise<string | null> {
    return this.evaluate((id) => document.querySelector(`[data-testid="${id}"]`)?.textContent ?? null, testId)
  }

  /** Waits until the element is there and can be used. */
  async click(testId: string): Promise<void> {
    await until(
      () =>
        this.evaluate((id) => {
          const element = document.querySelector<HTMLButtonElement>(`[data-testid="${id}"]`)
          if (!element || element.disabled) return false
          element.click()
          return true
        }, testId),
      WAIT_MS,
      `${testId} cannot be clicked`,
    )
  }

  async fill(testId: string, value: string): Promise<void> {
    await until(
      () =>
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
      WAIT_MS,
      `${testId} is not there to be filled`,
    )
  }

  /** The element's text, once it matches. Throws with what the page complains of instead, if it does. */
  async waitForText(testId: string, pattern: RegExp, timeoutMs = WAIT_MS): Promise<string> {
    const found = await until(
      async () => {
        const text = await this.text(testId)
        if (text !== null && pattern.test(text)) return { text }
        for (const complaint of COMPLAINTS) {
          const said = await this.text(complaint)
          if (said !== null) throw new Error(`instead of ${testId} the page says: ${said}`)
        }
        return null
      },
      timeoutMs,
      `${testId} does not come to say ${pattern}`,
    )
    return found.text
  }

  /** A PNG of what the window shows. */
  async screenshot(): Promise<Buffer> {
    return Buffer.from(await this.#commands.screenshot(), 'base64')
  }

  close(): Promise<void> {
    return this.#end()
  }
}
