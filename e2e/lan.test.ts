/**
 * From another machine of the local network, as far as one machine can show it: by the LAN address. Plain HTTP is
 * no secure context there, so browsers withhold WebGPU, threads and WebCrypto; the page says so and works.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lanAddresses } from '../relay/cli/network.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

const OPTIONS = ['--lan', '--steps', '2', '--batch', '1', '--length', '32', '--publish-every', '1']
const TEXT = fs
  .readFileSync(path.resolve(import.meta.dirname, '../models/catalog/samples/poe.txt'), 'utf8')
  .slice(0, 800)

let folder: string
let browser: Browser

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-lan-'))
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  fs.rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(lanAddresses().length === 0)('at the LAN address', () => {
  it('trains and sends over plain HTTP, and says what is missing', async () => {
    const relay = await RelayProcess.start({ dataDir: path.join(folder, 'http'), args: OPTIONS })
    const tab = await Tab.open(browser, relay.answer.joinUrl)
    try {
      expect(lanAddresses()).toContain(new URL(relay.answer.joinUrl).hostname)
      expect(await tab.page.evaluate(() => globalThis.isSecureContext)).toBe(false)
      await tab.at('insecure').waitFor()
      await tab.join()
      await tab.addFiles({ name: 'poe.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) })
      await tab.train()
      const digest = await tab.send()
      const updates = path.join(folder, 'http/rooms', relay.answer.room, 'updates')
      expect(fs.readdirSync(updates)).toEqual([digest])
      expect((await tab.diagnostics()).backend).toBe('wasm')
      await tab.at('result-open').click()
      await tab.at('result-merged-loss').waitFor({ timeout: 60_000 })
    } finally {
      await tab.close()
      await relay.stop()
    }
  })

  it('is a secure context over HTTPS, where WebGPU and threads are', async () => {
    const relay = await RelayProcess.start({
      dataDir: path.join(folder, 'https'),
      args: [...OPTIONS, '--https'],
    })
    const tab = await Tab.open(browser, relay.answer.joinUrl)
    try {
      const found = await tab.page.evaluate(async () => ({
        isolated: globalThis.crossOriginIsolated,
        secure: globalThis.isSecureContext,
        adapter: (await navigator.gpu?.requestAdapter()) != null,
      }))
      expect(found).toEqual({ isolated: true, secure: true, adapter: true })
      await tab.join()
    } finally {
      await tab.close()
      await relay.stop()
    }
  })
})
