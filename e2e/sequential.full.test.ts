/** A room in which every participant starts from the newest merged adapter, with a tab; and one opened in the host's console. */
import { describe, expect, it } from 'vitest'
import { NodeClient } from './support/node-client.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'
import { startOf, versionsOf } from './support/stored.ts'

const TEXT = 'The miller hears the river rise before anybody sees it, and he says so to nobody. '.repeat(20)
const FILE = { name: 'miller.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) }

const both = RelayAndBrowser.forThisFile([
  ...['--steps', '3', '--batch', '1', '--length', '48', '--mode', 'sequential'],
])

describe('a tab in a room where each starts from the newest', () => {
  it('trains from the version at hand, and is offered a newer one before it sends', async () => {
    const { relay } = both
    const tab = await both.openTab()
    const [before, meanwhile] = [new NodeClient(1), new NodeClient(2)]
    try {
      await before.join(relay.answer.url, relay.answer.room)
      await before.send(10)
      await expect.poll(async () => (await versionsOf(relay)).length, { timeout: 20_000 }).toBe(1)
      await tab.join()
      await tab.addFiles(FILE)
      await tab.train()
      expect(await tab.at('round-late').count()).toBe(0)
      await meanwhile.join(relay.answer.url, relay.answer.room)
      await meanwhile.send(10)
      await tab.at('round-train-anew').click({ timeout: 20_000 })
      await tab.page.waitForFunction(
        () => /^[0-9a-f]{64}$/.test(document.querySelector('[data-testid=review-digest]')?.textContent ?? ''),
        undefined,
        { timeout: 60_000 },
      )
      expect(await tab.at('round-late').count()).toBe(0)
      const sent = await tab.send()
      const versions = await versionsOf(relay)
      expect(startOf(relay, sent)).toBe(versions.find(({ version }) => version === 2)?.digest)
      expect(tab.errors).toEqual([])
    } finally {
      before.close()
      meanwhile.close()
      await tab.close()
    }
  })
})

describe('such a room opened in the console', () => {
  it('makes every contribution a version on top of the one before', async () => {
    const { url, hostUrl } = both.relay.answer
    const host = await both.openTab(hostUrl)
    const clients = [new NodeClient(3), new NodeClient(4)]
    try {
      await host.page.getByRole('link', { name: 'All rooms' }).click()
      await host.at('host-new').click()
      await host.at('plan-title').fill('One after the other')
      await host.at('plan-code').uncheck()
      await host.at('plan-mode-sequential').check()
      expect(await host.at('plan-publish-every').count()).toBe(0)
      await host.at('plan-open').click()
      await host.at('host-qr').waitFor()
      for (const [k, client] of clients.entries()) {
        await client.join(url, 'one-after-the-other')
        await client.send(10)
        await expect
          .poll(() => host.at('host-version').textContent(), { timeout: 60_000 })
          .toBe(String(k + 1))
      }
      expect(host.errors).toEqual([])
    } finally {
      for (const client of clients) client.close()
      await host.close()
    }
  })
})
