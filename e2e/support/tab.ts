/** One person's tab: a browser context of its own (its own storage), and the steps of a round in it. */
import type { Browser, BrowserContext, Locator, Page, Worker } from 'playwright'
import { type BrowserType, chromium } from 'playwright'
import { findChromium, softwareWebGpuFlags } from '../../scripts/chromium.ts'
import type { Diagnostics } from '../../web/state/diagnostics.ts'

/** SwiftShader compiles and runs every shader on two shared cores: the first step takes its time. */
const TRAIN_TIMEOUT_MS = 150_000

export type LaunchOptions = Pick<NonNullable<Parameters<BrowserType['launch']>[0]>, 'args'>

export async function launchChromium({ args = [] }: LaunchOptions = {}): Promise<Browser> {
  const executablePath = await findChromium()
  return chromium.launch({ executablePath, args: [...softwareWebGpuFlags(), ...args] })
}

export interface TabFile {
  readonly name: string
  readonly mimeType: string
  readonly buffer: Buffer
}

export class Tab {
  readonly page: Page
  /** What the page logged as an error, or threw; a test that expects none says so. */
  readonly errors: string[] = []
  readonly #context: BrowserContext

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context
    this.page = page
    page.on('pageerror', (error) => this.errors.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text())
    })
  }

  static async open(browser: Browser, url: string): Promise<Tab> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const tab = new Tab(context, await context.newPage())
    await tab.page.goto(url)
    return tab
  }

  /** A second tab of the same browser profile, with the same storage; closing the first closes both. */
  async beside(url: string): Promise<Tab> {
    const tab = new Tab(this.#context, await this.#context.newPage())
    await tab.page.goto(url)
    return tab
  }

  at(testId: string): Locator {
    return this.page.getByTestId(testId)
  }

  /** From the invitation until the page asks for text. */
  async join(): Promise<void> {
    await this.at('join-start').click()
    await this.at('data-file').waitFor({ state: 'attached', timeout: 60_000 })
  }

  async addFiles(...files: TabFile[]): Promise<void> {
    await this.at('data-file').setInputFiles(files)
  }

  /** From chosen text until the page shows what it would send. */
  async train(): Promise<void> {
    await this.at('data-continue').click()
    await this.at('train-start').click()
    await this.at('review-digest').waitFor({ timeout: TRAIN_TIMEOUT_MS })
    await this.page.waitForFunction(() =>
      /^[0-9a-f]{64}$/.test(document.querySelector('[data-testid=review-digest]')?.textContent ?? ''),
    )
  }

  /** Sends what was reviewed and returns the receipt's digest. */
  async send(): Promise<string> {
    await this.at('review-send').click()
    await this.at('receipt').waitFor({ timeout: 60_000 })
    return (await this.at('receipt-digest').textContent()) ?? ''
  }

  /** `window.oneround`, as values. */
  diagnostics(): Promise<Diagnostics> {
    return this.page.evaluate(() => {
      const {
        backend,
        executor,
        device,
        software,
        float16,
        planDispatches,
        tfjsOps,
        wire,
        bytesSent,
        tokensPerSecond,
      } = window.oneround
      const { steps, loss } = window.oneround
      return {
        backend,
        executor,
        device,
        software,
        float16,
        planDispatches,
        tfjsOps,
        wire,
        bytesSent,
        tokensPerSecond,
        steps,
        loss,
      }
    })
  }

  /** The worker that runs the model. */
  async worker(): Promise<Worker> {
    return this.page.workers()[0] ?? this.page.waitForEvent('worker')
  }

  async close(): Promise<void> {
    await this.#context.close()
  }
}
