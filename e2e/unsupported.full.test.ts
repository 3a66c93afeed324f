/**
 * Browsers that lack what others have, planted in Chromium: what runs all the same says in one sentence why it is slow, and
 * what cannot run says so, with the next step.
 */
import type { Page } from 'playwright'
import { expect, it } from 'vitest'
import { findOverflowing, picture } from './support/looks.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const both = RelayAndBrowser.forThisFile(['--steps', '8', '--batch', '1', '--length', '48'])
const TEXT = 'The lamplighter counts the windows that stay dark, and tells nobody how many. '.repeat(20)
const FILE = { name: 'lamps.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) }
const ONE_SENTENCE = /^[A-Z][^.]*\.$/

/** Runs `script` before anything else in the worker that runs the model: init scripts do not reach it. */
async function plantInWorker(page: Page, script: string): Promise<void> {
  await page.route(/\/assets\/worker-[^/]*\.js$/, async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, body: `${script}\n${await response.text()}` })
  })
}

it('trains without SIMD and without threads, and says that it is slow', async () => {
  const tab = await both.openTab('about:blank')
  try {
    await plantInWorker(tab.page, 'WebAssembly.validate = () => false')
    await tab.page.goto(both.joinUrl)
    await tab.at('device').getByText('1 thread').waitFor({ timeout: 60_000 })
    expect(await tab.page.locator('.device-note').textContent()).toMatch(/WebAssembly has no SIMD/)
    await tab.join()
    await tab.addFiles(FILE)
    await tab.train()
    const { backend, device, tokensPerSecond } = await tab.diagnostics()
    console.log(JSON.stringify({ device, tokensPerSecond }))
    expect(backend).toBe('wasm')
    expect(tab.errors).toEqual([])
  } finally {
    await tab.close()
  }
})

it('says what is missing where workers take no modules', async () => {
  const tab = await both.openTab('about:blank')
  try {
    await tab.page.addInitScript(() => {
      const Classic = Worker
      globalThis.Worker = class extends Classic {
        constructor(address: string | URL) {
          super(address)
        }
      }
    })
    await tab.page.setViewportSize({ width: 360, height: 740 })
    await tab.page.goto(both.joinUrl)
    const problem = tab.at('device-problem')
    await problem.waitFor({ timeout: 60_000 })
    expect(await problem.textContent()).toMatch(/too old.*take a current/)
    expect(await problem.textContent()).toMatch(ONE_SENTENCE)
    await picture(tab.page, 'no-module-workers')
    // Joining all the same ends on the same screen, with the same words.
    await tab.at('join-start').click()
    await tab.at('error').waitFor({ timeout: 60_000 })
    expect(await tab.at('error').getAttribute('data-code')).toBe('worker/no-modules')
    expect(await tab.at('page').getAttribute('data-at')).toBe('welcome')
    expect(await tab.page.evaluate(findOverflowing)).toEqual([])
  } finally {
    await tab.close()
  }
})

it('says what is missing where there is neither WebGPU nor WebAssembly', async () => {
  const tab = await both.openTab('about:blank')
  try {
    await plantInWorker(
      tab.page,
      "delete globalThis.WebAssembly; Object.defineProperty(navigator, 'gpu', { value: undefined })",
    )
    // The page's own choice of what runs.
    await tab.page.goto(both.relay.answer.joinUrl)
    const problem = tab.at('device-problem')
    await problem.waitFor({ timeout: 60_000 })
    expect(await problem.textContent()).toMatch(/neither WebGPU nor WebAssembly/)
    expect(await problem.textContent()).toMatch(ONE_SENTENCE)
    await tab.at('join-start').click()
    await tab.at('error').waitFor({ timeout: 60_000 })
    expect(await tab.at('error').getAttribute('data-code')).toBe('device/no-webassembly')
  } finally {
    await tab.close()
  }
})
