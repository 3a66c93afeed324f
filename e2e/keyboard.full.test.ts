import { expect, it } from 'vitest'
import { atHeading, focused, press, tabTo } from './support/keyboard.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const HOST_OPTIONS = ['--steps', '10', '--batch', '1', '--length', '48', '--publish-every', '1']
const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

it('is walked from the invitation to the erased computer', async () => {
  const tab = await both.openTab('about:blank')
  const { page } = tab
  try {
    await page.emulateMedia({ reducedMotion: 'reduce' })
    await page.addInitScript(() => {
      const said: string[] = []
      Object.assign(window, { said })
      new MutationObserver((records) => {
        for (const { target } of records) {
          const element = target instanceof Element ? target : target.parentElement
          const region = element?.closest('[role=status], [role=alert]')
          if (region?.textContent) said.push(region.textContent)
        }
      }).observe(document, { subtree: true, childList: true, characterData: true })
    })
    await page.goto(both.joinUrl)
    await press(tab, 'join-start')
    await tab.at('data-file').waitFor({ state: 'attached', timeout: 240_000 })
    await atHeading(tab)
    // One stop for all tabs, arrows between them.
    await tabTo(tab, 'tab-files')
    await page.keyboard.press('ArrowRight')
    expect((await focused(tab)).testId).toBe('tab-write')
    for (const [question, answer] of [
      ['Who opens the gate?', 'The caretaker, at seven in the morning.'],
      ['Where is the ladder?', 'Behind the bicycle shed, under the roof.'],
      ['When is the market?', 'Every Thursday, on the square.'],
    ]) {
      await page.keyboard.press('Tab')
      await tabTo(tab, 'pair-question')
      await page.keyboard.type(question)
      await page.keyboard.press('Tab')
      expect((await focused(tab)).testId).toBe('pair-answer')
      await page.keyboard.type(answer)
    }
    await expect.poll(() => tab.at('data-continue').isEnabled(), { timeout: 20_000 }).toBe(true)
    await press(tab, 'data-continue')
    await atHeading(tab)
    await press(tab, 'train-gentle', 'Space')
    expect(await tab.at('train-gentle').isChecked()).toBe(true)
    await page.keyboard.press('Space')
    await tabTo(tab, 'train-start')
    await page.keyboard.press('Enter')
    await press(tab, 'train-pause')
    await press(tab, 'train-resume')
    await tab.at('review-digest').waitFor({ timeout: 240_000 })
    await atHeading(tab)
    await expect.poll(() => tab.at('review-send').isEnabled(), { timeout: 20_000 }).toBe(true)
    await press(tab, 'review-send')
    await tab.at('receipt').waitFor({ timeout: 240_000 })
    await press(tab, 'result-open')
    await atHeading(tab)
    await tab.at('result-merged-loss').waitFor({ timeout: 240_000 })
    await tabTo(tab, 'prompt')
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.type('Where is the ladder?')
    await page.keyboard.press('Enter')
    await expect
      .poll(() => tab.at('generated-base').textContent(), { timeout: 240_000 })
      .toMatch(/^Where is the ladder\?./s)
    await press(tab, 'generate-stop')
    await tab.at('generate').waitFor({ timeout: 240_000 })

    await press(tab, 'wire-open')
    await tab.at('wire-panel').waitFor()
    await page.keyboard.press('Escape')
    await expect.poll(async () => (await focused(tab)).testId).toBe('wire-open')
    await press(tab, 'forget')
    await press(tab, 'forget-confirm')
    await tab.at('start-again').waitFor({ timeout: 30_000 })
    await atHeading(tab)

    const said = await page.evaluate(() => (window as unknown as { said: string[] }).said)
    expect(said.some((words) => /of training done/.test(words))).toBe(true)
    expect(said.some((words) => /Version 1/.test(words))).toBe(true)
    const moving = await page.evaluate(
      () => document.getAnimations().filter(({ playState }) => playState === 'running').length,
    )
    expect(moving).toBe(0)
  } finally {
    await tab.close()
  }
})
