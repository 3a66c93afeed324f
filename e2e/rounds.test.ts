/**
 * A room of two rounds, opened in the host's console; and one with a tab: it waits for the others, trains again by itself from the merged adapter, goes on over
 * a reload, and is told when the last round is over. Where each starts from the newest: sequential.full.test.ts.
 */
import { describe, expect, it } from 'vitest'
import { NodeClient } from './support/node-client.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'
import { startOf, versionsOf } from './support/stored.ts'

const HOST_OPTIONS = [
  ...['--steps', '3', '--batch', '1', '--length', '48'],
  ...['--mode', 'rounds', '--rounds', '2', '--quorum', '2', '--deadline', '86400'],
]
const TEXT = 'The miller hears the river rise before anybody sees it, and he says so to nobody. '.repeat(20)
const FILE = { name: 'miller.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) }
const SOON = { timeout: 60_000, interval: 100 }
const SHA256 = /^[0-9a-f]{64}$/

const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

describe('a tab in a room of rounds', () => {
  it('waits, trains again from the merged adapter, goes on over a reload, and hears of the last round', async () => {
    const tab = await both.openTab()
    const other = new NodeClient(1)
    try {
      await expect.poll(() => tab.at('room-mode').textContent()).toMatch(/^2 rounds.*ends with 2 updates/)
      await tab.join()
      await tab.addFiles(FILE)
      await tab.train()
      const first = await tab.send()
      await expect.poll(() => tab.at('round-waiting').textContent()).toMatch(/^1 of 2 updates/)
      // Whoever waits may close the tab, and comes back to the wait.
      await tab.page.reload()
      await tab.at('round-waiting').waitFor({ timeout: 60_000 })
      expect(await tab.at('receipt-digest').textContent()).toBe(first)

      await other.join(both.relay.answer.url, both.relay.answer.room)
      await other.send(10)
      const digest = () =>
        tab
          .at('review-digest')
          .textContent({ timeout: 500 })
          .catch(() => null)
      await expect.poll(digest, { timeout: 120_000 }).toMatch(SHA256)
      const reviewed = await digest()
      await tab.page.reload()
      await expect.poll(digest, { timeout: 60_000 }).toBe(reviewed)
      const second = await tab.send()
      expect(second).toBe(reviewed)
      expect(second).not.toBe(first)
      const [{ digest: merged }] = await versionsOf(both.relay)
      expect(startOf(both.relay, first)).toBeUndefined()
      expect(startOf(both.relay, second)).toBe(merged)

      // The host ends the round with what it has.
      const { url, room, hostToken } = both.relay.answer
      const ended = await fetch(`${url}/api/rooms/${room}/publish`, {
        method: 'POST',
        headers: { authorization: `Bearer ${hostToken}` },
      })
      expect(ended.ok).toBe(true)
      await tab.at('rounds-over').waitFor({ timeout: 20_000 })
      await tab.at('result-open').click()
      await tab.at('result-merged-loss').waitFor({ timeout: 60_000 })
      expect(await tab.at('merged-version').getAttribute('data-version')).toBe('2')
      expect(tab.errors).toEqual([])
    } finally {
      other.close()
      await tab.close()
    }
  })
})

describe('a room of rounds opened in the console', () => {
  it('says what it costs, merges round by round, and is over with the last', async () => {
    const host = await both.openTab(both.relay.answer.hostUrl)
    const clients = [1, 2, 3, 4].map((seed) => new NodeClient(seed))
    const count = (testId: string) => host.at(testId).textContent()
    const inRound = async (two: readonly NodeClient[]) => {
      for (const client of two) await client.join(both.relay.answer.url, 'in-two-rounds')
      for (const client of two) await client.send(10)
    }
    try {
      await host.page.getByRole('link', { name: 'All rooms' }).click()
      await host.at('host-new').click()
      await host.at('plan-title').fill('In two rounds')
      await host.at('plan-code').uncheck()
      const once = await count('plan-update-bytes')
      await host.at('plan-mode-rounds').check()
      await host.at('plan-rounds').fill('2')
      await host.at('plan-quorum').fill('2')
      expect(await count('plan-update-bytes')).not.toBe(once)
      // Nothing is asked that rounds decide.
      expect(await host.at('plan-publish-every').count()).toBe(0)
      await host.at('plan-open').click()
      await expect.poll(() => count('host-round'), SOON).toBe('1 / 2')

      await inRound(clients.slice(0, 2))
      await expect.poll(() => count('host-version'), SOON).toBe('1')
      expect(await count('host-round')).toBe('2 / 2')
      await inRound(clients.slice(2))
      await expect.poll(() => host.at('host-closed').count(), SOON).toBe(1)
      await expect.poll(() => count('host-version'), SOON).toBe('2')
      const versions = await (await fetch(`${both.relay.answer.url}/api/rooms/in-two-rounds/versions`)).json()
      expect(versions).toMatchObject({ versions: [{ contributions: 2 }, { contributions: 2 }] })
      expect(host.errors).toEqual([])
    } finally {
      for (const client of clients) client.close()
      await host.close()
    }
  })
})
