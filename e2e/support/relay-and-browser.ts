/** What most end-to-end files begin with: a folder, a relay that keeps its data there, and a Chromium; gone afterwards. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser } from 'playwright'
import { afterAll, beforeAll } from 'vitest'
import { RelayProcess } from './relay-process.ts'
import { launchChromium, Tab } from './tab.ts'

export class RelayAndBrowser {
  readonly #args: readonly string[]
  #folder: string | undefined
  #relay: RelayProcess | undefined
  #browser: Browser | undefined

  private constructor(args: readonly string[]) {
    this.#args = args
  }

  /** Registers with the test file that calls it. `args`: of `oneround host`. */
  static forThisFile(args: readonly string[] = []): RelayAndBrowser {
    const both = new RelayAndBrowser(args)
    beforeAll(() => both.#open())
    afterAll(() => both.#close())
    return both
  }

  /** For the test's own files; the relay's data are in it too. */
  get folder(): string {
    return begun(this.#folder)
  }

  get relay(): RelayProcess {
    return begun(this.#relay)
  }

  get browser(): Browser {
    return begun(this.#browser)
  }

  /** The room's address, with the backend that is quickest where there is no GPU. */
  get joinUrl(): string {
    return `${this.relay.answer.joinUrl}?backend=wasm`
  }

  /** A person's tab, on the room's invitation. */
  openTab(url = this.joinUrl): Promise<Tab> {
    return Tab.open(this.browser, url)
  }

  /** The same relay with the same data at the same port, after it was killed or stopped. */
  async startRelayAgain(): Promise<void> {
    const { port, dataDir } = this.relay.answer
    this.#relay = await RelayProcess.start({ dataDir, port, args: this.#args })
  }

  async #open(): Promise<void> {
    this.#folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-e2e-'))
    this.#relay = await RelayProcess.start({ dataDir: path.join(this.#folder, 'relay'), args: this.#args })
    this.#browser = await launchChromium()
  }

  async #close(): Promise<void> {
    await this.#browser?.close()
    await this.#relay?.stop()
    if (this.#folder) fs.rmSync(this.#folder, { recursive: true, force: true })
  }
}

function begun<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('there is none before the tests of this file have begun')
  return part
}
