/**
 * The ways through a round of pictures that the round itself does not take: with the keyboard alone, and over a reload in
 * the middle of training.
 */
import { expect, it } from 'vitest'
import { atHeading, focused, press, tabTo } from './support/keyboard.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'
import type { Tab } from './support/tab.ts'

const HOST_OPTIONS = ['--model', 'emoji-dit', '--steps', '30', '--batch', '4', '--publish-every', '1']
const SLOW = { timeout: 240_000, interval: 50 }
const SHA256 = /^[0-9a-f]{64}$/

const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

const stepOf = async (tab: Tab) =>
  Number(
    (await tab
      .at('train-step')
      .textContent({ timeout: 500 })
      .catch(() => '')) || 0,
  )

it('is walked with the keyboard alone, from the invitation to the saved pictures', async () => {
  const tab = await both.openTab('about:blank')
  const { page } = tab
  try {
    await page.emulateMedia({ reducedMotion: 'reduce' })
    await page.goto(both.joinUrl)
    await press(tab, 'join-start')
    await tab.at('data-file').waitFor({ state: 'attached', timeout: SLOW.timeout })
    await atHeading(tab)
    await tabTo(tab, 'tab-files')
    await page.keyboard.press('ArrowRight')
    expect((await focused(tab)).testId).toBe('tab-sample')
    await press(tab, 'data-sample-twemoji-food')
    await expect.poll(() => tab.at('data-picture').count(), SLOW).toBeGreaterThan(0)

    const caption = () => page.locator('[data-testid=data-picture] canvas').first().getAttribute('aria-label')
    await press(tab, 'captions-edit', 'Space')
    await tabTo(tab, 'caption-field')
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.type('a fruit of my own')
    await page.keyboard.press('Enter')
    await expect.poll(caption, SLOW).toBe('a fruit of my own')
    await press(tab, 'captions-edit', 'Space')
    await expect.poll(() => tab.at('data-continue').isEnabled(), SLOW).toBe(true)

    await press(tab, 'data-continue')
    await atHeading(tab)
    await press(tab, 'train-start')
    await press(tab, 'train-pause')
    await press(tab, 'train-resume')
    await tab.at('review-digest').waitFor({ timeout: SLOW.timeout })
    await atHeading(tab)
    await expect.poll(() => tab.at('review-send').isEnabled(), SLOW).toBe(true)
    await press(tab, 'review-send')
    await tab.at('receipt').waitFor({ timeout: SLOW.timeout })
    await press(tab, 'result-open')
    await atHeading(tab)
    await tab.at('result-merged-loss').waitFor({ timeout: SLOW.timeout })
    await tabTo(tab, 'captions')
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.type('red apple')
    await tabTo(tab, 'draw-steps')
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.type('2')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[data-testid=drawn-merged][data-drawn=true]', { timeout: SLOW.timeout })
    await tabTo(tab, 'drawings-save')
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
    expect(download.suggestedFilename()).toMatch(/\.png$/)
    expect(tab.errors).toEqual([])
  } finally {
    await tab.close()
  }
})

it('goes on after a reload in the middle of training', async () => {
  const tab = await both.openTab()
  const { page } = tab
  try {
    await tab.join()
    await tab.at('tab-sample').click()
    await tab.at('data-sample-twemoji-smileys').click()
    await tab.at('data-picture').first().waitFor({ timeout: SLOW.timeout })
    await tab.at('data-continue').click()
    await tab.at('train-start').click()
    const kept = async () => Number((await tab.at('train-checkpoint').getAttribute('data-step')) ?? 0)
    await expect.poll(kept, SLOW).toBeGreaterThan(0)
    const before = await kept()
    await page.reload()
    // Not from the beginning: the first step shown is one after the checkpoint.
    let first = 0
    await expect
      .poll(async () => {
        const step = await stepOf(tab)
        if (first === 0) first = step
        return step
      }, SLOW)
      .toBeGreaterThan(before)
    expect(first).toBeGreaterThanOrEqual(before)
    await expect.poll(() => tab.at('review-digest').textContent(), SLOW).toMatch(SHA256)
    expect((await tab.diagnostics()).steps).toBe(30)
    await tab.send()
    expect(tab.errors).toEqual([])
  } finally {
    await tab.close()
  }
})
