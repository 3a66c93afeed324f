/**
 * The page without the relay: opened from what the browser keeps, trained without it, sent once it is back; and the
 * keeping itself, which is of one whole build or of none.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CONTENT_SECURITY_POLICY, SECURITY_HEADERS } from '../relay/server/headers.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

const HOST_OPTIONS = ['--steps', '3', '--batch', '1', '--length', '48', '--publish-every', '9']
const PAGE_DIR = path.resolve(import.meta.dirname, '../dist/page')
const FILE = {
  name: 'well.txt',
  mimeType: 'text/plain',
  buffer: Buffer.from(
    'The well behind the school is older than the school, and colder in summer. '.repeat(20),
  ),
}

let folder: string
let browser: Browser

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-offline-'))
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  fs.rmSync(folder, { recursive: true, force: true })
})

describe('without the relay', () => {
  it('the page opens, trains and waits; the update is sent when the relay is back', async () => {
    const dataDir = path.join(folder, 'relay')
    let relay = await RelayProcess.start({ dataDir, args: HOST_OPTIONS })
    const { port } = relay.answer
    const tab = await Tab.open(browser, `${relay.answer.joinUrl}?backend=wasm`)
    const { page } = tab
    try {
      await tab.join()
      await expect
        .poll(() => page.evaluate(() => navigator.serviceWorker.controller?.state), { timeout: 60_000 })
        .toBe('activated')
      await expect.poll(() => tab.at('model-report').textContent()).toMatch(/without the network/)
      await relay.kill()

      const answer = await page.reload()
      expect(answer?.fromServiceWorker()).toBe(true)
      expect(answer?.headers()['content-security-policy']).toBe(CONTENT_SECURITY_POLICY)
      await tab.at('data-file').waitFor({ state: 'attached', timeout: 60_000 })
      await tab.at('relay-offline').waitFor()
      expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true)
      expect(await tab.at('model-report').getAttribute('data-cached')).toBe('true')
      await tab.addFiles(FILE)
      await tab.train()
      const digest = await tab.at('review-digest').textContent()
      await tab.at('review-send').click()
      await page
        .getByText(/connection is interrupted/)
        .first()
        .waitFor()

      relay = await RelayProcess.start({ dataDir, port, args: HOST_OPTIONS })
      await tab.at('receipt').waitFor({ timeout: 60_000 })
      expect(await tab.at('receipt-digest').textContent()).toBe(digest)
      await expect.poll(() => tab.at('relay-offline').count()).toBe(0)
    } finally {
      await tab.close()
      await relay.stop()
    }
  })
})

const sha256 = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')

/** A web server whose files can be exchanged while it runs, and which can be switched off. */
class Site {
  readonly files = new Map<string, Buffer>()
  isUp = true
  readonly #server = http.createServer((request, response) => {
    if (!this.isUp) {
      request.socket.destroy()
      return
    }
    const asked = (request.url ?? '/').split('?')[0]
    const name = asked === '/' ? '/index.html' : asked
    const body = this.files.get(name)
    const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' }
    for (const [header, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(header, value)
    response.setHeader('Content-Type', types[path.extname(name)] ?? 'application/octet-stream')
    response.writeHead(body ? 200 : 404).end(body)
  })

  static async open(): Promise<Site> {
    const site = new Site()
    for (const name of fs.readdirSync(PAGE_DIR, { recursive: true, encoding: 'utf8' })) {
      const file = path.join(PAGE_DIR, name)
      if (fs.statSync(file).isFile())
        site.files.set(`/${name.replaceAll(path.sep, '/')}`, fs.readFileSync(file))
    }
    await new Promise<void>((resolve) => site.#server.listen(0, '127.0.0.1', resolve))
    return site
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

/** Registers the service worker and says how that ended. */
const register = (page: Page) =>
  page.evaluate(async () => {
    const registration = await navigator.serviceWorker.register('/service-worker.js', {
      updateViaCache: 'none',
    })
    await registration.update().catch(() => {})
    const worker = registration.installing ?? registration.waiting ?? registration.active
    if (!worker) return 'none'
    const settled = ['installed', 'activated', 'redundant']
    while (!settled.includes(worker.state)) {
      await new Promise((resolve) => worker.addEventListener('statechange', resolve, { once: true }))
    }
    return worker.state
  })

const builds = (page: Page) =>
  page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith('oneround-page-')))

describe('what the browser keeps of the page', () => {
  it('is one whole build, checked file by file, and the next one only when no tab needs this one', async () => {
    const site = await Site.open()
    const context = await browser.newContext()
    try {
      const page = await context.newPage()
      await page.goto(site.url)

      // A relay in the middle of an update: one file is not what the list says. Nothing is kept.
      const [name, whole] = [...site.files].find(([file]) => /^\/assets\/index-.*\.js$/.test(file))!
      site.files.set(name, Buffer.concat([whole, Buffer.from('\n')]))
      expect(await register(page)).toMatch(/none|redundant/)
      expect(await builds(page)).toEqual([])

      site.files.set(name, whole)
      expect(await register(page)).toMatch(/installed|activated/)
      await expect
        .poll(() => page.evaluate(() => navigator.serviceWorker.controller?.state))
        .toBe('activated')
      const [first, ...others] = await builds(page)
      expect(others).toEqual([])
      const kept = await page.evaluate(
        async (cache) => (await (await caches.open(cache)).keys()).map(({ url }) => new URL(url).pathname),
        first,
      )
      const listed = [...site.files.keys()].filter(
        (file) => file !== '/service-worker.js' && !file.endsWith('.safetensors'),
      )
      expect(kept.sort()).toEqual(listed.sort())

      // Another build: another page, another list.
      const html = site.files.get('/index.html')!
      const newer = Buffer.from(html.toString().replace('<title>oneround', '<title>newer'))
      const worker = site.files.get('/service-worker.js')!.toString()
      const id = first.slice('oneround-page-'.length)
      site.files.set('/index.html', newer)
      site.files.set(
        '/service-worker.js',
        Buffer.from(worker.replaceAll(id, 'f'.repeat(16)).replaceAll(sha256(html), sha256(newer))),
      )
      expect(await register(page)).toBe('installed')
      expect((await builds(page)).sort()).toEqual([first, `oneround-page-${'f'.repeat(16)}`].sort())
      // With the relay there, the newer page; without it, the older one whole.
      const titleOf = async () =>
        /<title>([a-z]+)/.exec((await (await page.goto(site.url))?.text()) ?? '')?.[1]
      expect(await titleOf()).toBe('newer')
      site.isUp = false
      expect(await titleOf()).toBe('oneround')
      expect(await page.evaluate(async (file) => (await fetch(file)).status, name)).toBe(200)
      site.isUp = true

      await page.close()
      await expect
        .poll(
          async () => {
            const next = await context.newPage()
            await next.goto(site.url)
            const names = await builds(next)
            await next.close()
            return names
          },
          { timeout: 20_000, interval: 500 },
        )
        .toEqual([`oneround-page-${'f'.repeat(16)}`])
    } finally {
      await context.close()
      site.close()
    }
  })
})
