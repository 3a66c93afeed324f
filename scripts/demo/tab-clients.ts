/**
 * Clients as tabs of a Chromium, each with its own storage, clicking through the page as a person would. What a
 * tab did is read from `window.oneround`, which the page offers for this.
 */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright'
import type { BackendName } from '../../models/backend/engine.ts'
import type { Contribution, DemoClient, DemoClients, Losses, Meeting } from './client.ts'

/** One step's wait in the page: opening, sending, measuring. */
const STEP_TIMEOUT_MS = 60_000

/** Far beyond what the demo may take: only so that it ends at all. */
const TRAIN_TIMEOUT_MS = 15 * 60_000

const WATCH_EVERY_MS = 10_000

const FLAGS = [
  // On Linux WebGPU is still behind a switch; the page measures whether it is quicker than wasm.
  '--enable-unsafe-webgpu',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  // Chromium's sandbox refuses to start as root, which is what containers run as.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
]

/** Throws when this Chromium does not start. */
export async function tabClients(meeting: Meeting, executablePath: string): Promise<DemoClients> {
  const browser = await chromium.launch({ executablePath, args: FLAGS })
  const gpu = await hardwareGpu(browser, meeting.joinUrl)
  const joinUrl = new URL(meeting.joinUrl)
  // Without a GPU nothing is to be measured: two tabs that measure at once on a busy processor may be misled.
  if (gpu === null) joinUrl.searchParams.set('backend', 'wasm')
  const where = gpu === null ? 'on the processor (wasm), as it has no GPU to use' : `with ${gpu}`
  return {
    description: `three tabs of Chromium ${browser.version()} ${where}`,
    create: (name, data) => new TabClient(name, data, { ...meeting, joinUrl: joinUrl.href }, browser),
    close: () => browser.close(),
  }
}

/** The graphics adapter in words; null where there is none, or only one that the processor imitates. */
async function hardwareGpu(browser: Browser, url: string): Promise<string | null> {
  const page = await browser.newPage()
  try {
    await page.goto(url) // WebGPU is there for secure contexts only
    return await page.evaluate(async () => {
      const info = (await navigator.gpu?.requestAdapter())?.info
      if (
        !info ||
        info.isFallbackAdapter ||
        /swiftshader|llvmpipe|lavapipe/i.test(Object.values(wordsOf(info)).join(' '))
      )
        return null
      return Object.values(wordsOf(info)).filter(Boolean).join(' ')
      // The properties are getters of the prototype, which Object.values alone would not see.
      function wordsOf({ vendor, architecture, device, description }: GPUAdapterInfo) {
        return { vendor, architecture, device, description }
      }
    })
  } finally {
    await page.close()
  }
}

async function filesOf(data: string): Promise<string[]> {
  if (!(await stat(data)).isDirectory()) return [data]
  return (await readdir(data)).map((name) => path.join(data, name))
}

class TabClient implements DemoClient {
  readonly name: string
  readonly #data: string
  readonly #meeting: Meeting
  readonly #browser: Browser
  #context: BrowserContext | undefined
  #page: Page | undefined

  constructor(name: string, data: string, meeting: Meeting, browser: Browser) {
    this.name = name
    this.#data = data
    this.#meeting = meeting
    this.#browser = browser
  }

  async contribute(): Promise<Contribution> {
    const { joinUrl, say, words } = this.#meeting
    this.#context = await this.#browser.newContext()
    this.#context.setDefaultTimeout(STEP_TIMEOUT_MS)
    const page = await this.#context.newPage()
    this.#page = page
    const at = (id: string) => page.getByTestId(id)
    await page.goto(joinUrl)
    await at('join-start').click()
    await at('data-file').setInputFiles(await filesOf(this.#data))
    await at('data-continue').click()
    await at('train-start').click()
    say(
      this.name,
      `trains in a tab on ${await page.evaluate(() => `${window.oneround.device} (${window.oneround.backend})`)}`,
    )
    await this.#watchTraining(page)
    await at('review-send').click()
    await at('receipt').waitFor()
    const { backend, steps, tokensPerSecond, bytesSent } = await page.evaluate(() => {
      const { backend, steps, tokensPerSecond, bytesSent } = window.oneround
      return { backend, steps, tokensPerSecond, bytesSent }
    })
    if (backend === null || tokensPerSecond === null)
      throw new Error(`${this.name}'s tab does not say what it ran on.`)
    // Gone: the page, its worker and its socket; what it keeps for a return stays in this browser.
    await page.goto('about:blank')
    say(this.name, 'has sent its update and left')
    return { backend: backend as BackendName, steps, tokensPerSecond, bytesSent, ...words }
  }

  async measure(): Promise<Losses> {
    const page = this.#page!
    const at = (id: string) => page.getByTestId(id)
    await page.goto(this.#meeting.joinUrl)
    await at('result-open').click()
    const loss = async (which: keyof Losses) => {
      const cell = at(`result-${which}-loss`)
      await cell.waitFor()
      return Number(await cell.getAttribute('data-loss'))
    }
    const losses = { base: await loss('base'), own: await loss('own'), merged: await loss('merged') }
    await this.#context!.close()
    return losses
  }

  /** Until the page shows what it would send, or says what went wrong. */
  async #watchTraining(page: Page): Promise<void> {
    const { say, signal, words } = this.#meeting
    const done = page.getByTestId('review-send').waitFor({ timeout: TRAIN_TIMEOUT_MS })
    const failed = page
      .getByTestId('error')
      .waitFor({ timeout: TRAIN_TIMEOUT_MS })
      .then(async () => {
        throw new Error(`${this.name}'s tab says: ${await page.getByTestId('error').textContent()}`)
      })
    // Whichever comes second must not be an unhandled rejection.
    failed.catch(() => {})
    let shown = 0
    const watching = setInterval(async () => {
      const report = await page
        .evaluate(() => ({ steps: window.oneround.steps, speed: window.oneround.tokensPerSecond }))
        .catch(() => null)
      if (!report?.speed || report.steps === shown) return
      shown = report.steps
      say(this.name, `step ${report.steps}, ${report.speed.toFixed(0)} ${words.counted}/s`)
    }, WATCH_EVERY_MS)
    try {
      signal.throwIfAborted()
      await Promise.race([done, failed])
    } finally {
      clearInterval(watching)
    }
  }
}
