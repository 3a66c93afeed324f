/** Two tabs of one browser are two people, with the same storage beneath them. */
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { RelayAndBrowser } from './support/relay-and-browser.ts'
import type { Tab } from './support/tab.ts'

const HOST_OPTIONS = ['--steps', '3', '--batch', '1', '--length', '48', '--publish-every', '9']
const TEXT = 'The ferryman counts the lanterns on the far bank before he lets go of the rope. '.repeat(20)
const FILE = { name: 'ferry.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) }

const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

const where = (tab: Tab) => tab.at('page').getAttribute('data-at')
const digestOf = (tab: Tab) => tab.at('review-digest').textContent()
const updates = () =>
  fs.readdirSync(path.join(both.relay.answer.dataDir, 'rooms', both.relay.answer.room, 'updates'))

describe('two tabs of one browser', () => {
  it('are two people, each with a text, an adapter and a receipt of their own, over a reload too', async () => {
    const first = await both.openTab()
    const second = await first.beside(both.joinUrl)
    try {
      for (const [tab, name] of [
        [first, 'anna'],
        [second, 'ben'],
      ] as const) {
        await tab.join()
        await tab.addFiles({
          ...FILE,
          name: `${name}.txt`,
          buffer: Buffer.from(TEXT.replaceAll('ferryman', name)),
        })
        await tab.train()
      }
      const digests = [await digestOf(first), await digestOf(second)]
      expect(new Set(digests).size).toBe(2)
      await first.page.reload()
      await expect.poll(() => digestOf(first), { timeout: 60_000 }).toBe(digests[0])
      expect(await first.send()).toBe(digests[0])
      expect(await where(second)).toBe('reviewing')
      expect(await second.send()).toBe(digests[1])
      expect(updates()).toEqual(expect.arrayContaining(digests))
    } finally {
      await first.close()
    }
  })
})
