import { describe, expect, it } from 'vitest'
import { pictureEveryWay } from './support/looks.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const HOST_OPTIONS = ['--steps', '1', '--batch', '1', '--length', '32', '--publish-every', '1']
const TEXT = 'The beekeeper says that the bees decide, and that he only carries the honey. '.repeat(20)

const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

describe('what happened to my data', () => {
  it("follows the room's own record, marks the reader's update, and sees it taken back", async () => {
    const tab = await both.openTab()
    try {
      await tab.join()
      await tab.addFiles({ name: 'bees.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) })
      await tab.train()
      const digest = await tab.send()
      const address = await tab.at('what-happened').getAttribute('href')
      expect(address).toBe(`/round/${both.relay.answer.room}#update=${digest}`)
      const view = await tab.beside(new URL(address ?? '', both.relay.answer.url).href)
      const lines = () =>
        view.at('record-line').evaluateAll((list) => list.map((line) => line.getAttribute('data-event')))
      await expect.poll(lines, { timeout: 20_000 }).toEqual(['published', 'accepted', 'created'])
      const own = view.page.locator('[data-testid=picture-update][data-own=true]')
      await expect.poll(() => own.getAttribute('data-where')).toBe('version')
      await pictureEveryWay(view.page, 'what-happened')
      // Back in time: before the version, the update was at the relay; before that, nowhere.
      await view.at('moment').focus()
      await view.page.keyboard.press('ArrowLeft')
      await expect.poll(() => own.getAttribute('data-where')).toBe('relay')
      await view.page.keyboard.press('Home')
      await expect.poll(() => view.at('picture-update').count()).toBe(0)
      await view.page.keyboard.press('End')
      await expect.poll(() => own.getAttribute('data-where')).toBe('version')

      await tab.at('withdraw').click()
      await tab.at('withdraw-confirm').click()
      await expect.poll(() => own.getAttribute('data-where'), { timeout: 20_000 }).toBe('withdrawn')
      expect(await lines()).toEqual(['retired', 'withdrawn', 'published', 'accepted', 'created'])
      expect(view.errors).toEqual([])
    } finally {
      await tab.close()
    }
  })
})
