/** The page by its keyboard alone: where the focus is, and how it gets from one control to another. */
import { expect } from 'vitest'
import type { Tab } from './tab.ts'

/** A person gives up before that. */
const MOST_TABS = 60

export const focused = (tab: Tab) =>
  tab.page.evaluate(() => {
    const element = document.activeElement
    return {
      testId: element?.getAttribute('data-testid') ?? '',
      tag: element?.tagName ?? '',
      outlined: element ? getComputedStyle(element).outlineStyle !== 'none' : false,
    }
  })

/** Presses Tab until the control has the focus, and sees that the focus can be seen. */
export async function tabTo(tab: Tab, testId: string): Promise<void> {
  await tab.at(testId).first().waitFor({ timeout: 240_000 })
  for (let press = 0; press < MOST_TABS; press++) {
    const now = await focused(tab)
    if (now.testId === testId) {
      expect(now.outlined, `${testId} shows its focus`).toBe(true)
      return
    }
    await tab.page.keyboard.press('Tab')
  }
  throw new Error(`Tab does not reach ${testId}`)
}

export const press = async (tab: Tab, testId: string, key = 'Enter') => {
  await tabTo(tab, testId)
  await tab.page.keyboard.press(key)
}

export const atHeading = (tab: Tab) =>
  expect.poll(async () => (await focused(tab)).tag, { timeout: 240_000 }).toBe('H1')
