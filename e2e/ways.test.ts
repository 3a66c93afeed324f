/**
 * The ways through a round that nobody plans: back and forward, a reload in the middle of training and of the upload,
 * and a relay that is started again meanwhile.
 */
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { RelayAndBrowser } from './support/relay-and-browser.ts'
import type { Tab } from './support/tab.ts'
import { WireGate } from './support/wire.ts'

/** A rank at which the update has several parts. */
const HOST_OPTIONS = [
  '--steps',
  '14',
  '--batch',
  '1',
  '--length',
  '48',
  '--rank',
  '32',
  '--publish-every',
  '9',
]
const TEXT = 'The ferryman counts the lanterns on the far bank before he lets go of the rope. '.repeat(20)
const FILE = { name: 'ferry.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) }

const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

const where = (tab: Tab) => tab.at('page').getAttribute('data-at')
const stepOf = async (tab: Tab) =>
  Number(
    (await tab
      .at('train-step')
      .textContent({ timeout: 500 })
      .catch(() => '')) || 0,
  )
const digestOf = (tab: Tab) => tab.at('review-digest').textContent()
const SHA256 = /^[0-9a-f]{64}$/
const updatesFolder = () => path.join(both.relay.answer.dataDir, 'rooms', both.relay.answer.room, 'updates')
const updates = () => (fs.existsSync(updatesFolder()) ? fs.readdirSync(updatesFolder()) : [])

describe('a person who goes back and forward', () => {
  it('finds every step as it was, and is kept from losing what runs or was sent', async () => {
    const tab = await both.openTab()
    const { page } = tab
    const at = (state: string) => expect.poll(() => where(tab), { timeout: 60_000 }).toBe(state)
    try {
      await tab.join()
      await tab.addFiles(FILE)
      await expect.poll(() => tab.at('data-continue').isEnabled(), { timeout: 20_000 }).toBe(true)
      await page.goBack()
      await at('welcome')
      await page.goForward()
      await at('data')
      await expect.poll(() => tab.at('data-file-entry').count(), { timeout: 20_000 }).toBe(1)
      await tab.at('data-continue').click()
      await at('ready')
      await page.goBack()
      await at('data')
      await page.goForward()
      await at('ready')

      await tab.at('train-start').click()
      await expect.poll(() => stepOf(tab), { timeout: 30_000 }).toBeGreaterThan(0)
      await page.goBack()
      await expect.poll(() => tab.at('error').getAttribute('data-code')).toBe('page/back')
      await at('reviewing')
      await expect.poll(() => tab.at('error').count()).toBe(0)
      await expect.poll(() => digestOf(tab), { timeout: 20_000 }).toMatch(SHA256)
      const digest = await digestOf(tab)

      await page.goBack()
      await at('ready')
      await tab.at('train-review').waitFor()
      await page.goForward()
      await at('reviewing')
      expect(await digestOf(tab)).toBe(digest)
      expect(await tab.send()).toBe(digest)
      await page.goBack()
      await expect.poll(() => tab.at('error').getAttribute('data-code')).toBe('page/back')
      await at('sent')
      await tab.at('result-open').click()
      await at('result')
      await page.goBack()
      await at('sent')
      await page.goForward()
      await at('result')
      expect(tab.errors).toEqual([])
    } finally {
      await tab.close()
    }
  })
})

describe('a reload and a relay that starts again', () => {
  it('go on in the middle of training and of the upload, as the same participant with the same bytes', async () => {
    const gate = await WireGate.open(both.relay.answer.url)
    const tab = await both.openTab(`${gate.origin}/join/${both.relay.answer.room}?backend=wasm`)
    try {
      await tab.join()
      await tab.addFiles(FILE)
      await tab.at('data-continue').click()
      await tab.at('train-start').click()
      const kept = async () => Number((await tab.at('train-checkpoint').getAttribute('data-step')) ?? 0)
      await expect.poll(kept, { timeout: 60_000 }).toBeGreaterThan(0)
      const before = await kept()
      await tab.page.reload()
      await expect.poll(() => stepOf(tab), { timeout: 60_000, interval: 20 }).toBeGreaterThan(before)
      await tab.at('review-digest').waitFor({ timeout: 60_000 })
      await expect.poll(() => digestOf(tab), { timeout: 20_000 }).toMatch(SHA256)
      const digest = await digestOf(tab)

      // The first part of the upload arrives; the network stalls; the person reloads.
      gate.hold(300_000)
      await tab.at('review-send').click()
      await expect.poll(() => gate.isHolding, { timeout: 20_000 }).toBe(true)
      const already = updates()
      await tab.page.reload()
      gate.release()
      await tab.at('review-send').waitFor({ timeout: 60_000 })
      await expect.poll(() => digestOf(tab), { timeout: 20_000 }).toBe(digest)
      const sentBefore = gate.bytesSent

      // Again, and now it is the relay that goes.
      gate.hold(30_000)
      await tab.at('review-send').click()
      await expect.poll(() => gate.isHolding, { timeout: 20_000 }).toBe(true)
      await both.relay.kill()
      await tab.page
        .getByText(/connection is interrupted/)
        .first()
        .waitFor({ timeout: 20_000 })
      gate.release()
      await both.startRelayAgain()
      await tab.at('receipt').waitFor({ timeout: 60_000 })
      expect(await tab.at('receipt-digest').textContent()).toBe(digest)
      expect(updates().filter((stored) => !already.includes(stored))).toEqual([digest])
      // The part that had arrived before was not sent again.
      const { size } = fs.statSync(path.join(updatesFolder(), digest ?? ''))
      expect(gate.bytesSent - sentBefore).toBeLessThan(size)
    } finally {
      await tab.close()
      await gate.close()
    }
  })
})
