/** What can be asked of any screen: findings of axe, what sticks out of the window, and whether it has come to rest. */
import fs from 'node:fs'
import path from 'node:path'
import axe from 'axe-core'
import type { Page } from 'playwright'

const AXE_OPTIONS = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
}

/**
 * One line each; empty where there is none.
 *
 * @param rules only these, by axe's names; default: all
 */
export async function findings(page: Page, rules?: readonly string[]): Promise<string[]> {
  // By the debugger's way: the page's own policy lets no foreign script in.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(
    (options) => (window as unknown as { axe: typeof axe }).axe.run(document, options as axe.RunOptions),
    rules ? { runOnly: [...rules] } : AXE_OPTIONS,
  )
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any }) => `${id}: ${html.slice(0, 120)} ${any[0]?.message ?? ''}`),
  )
}

/** With ONEROUND_SCREENS=FOLDER. Long screens are pictured whole; the log of messages scrolls in itself. */
export async function picture(page: Page, name: string): Promise<void> {
  const target = process.env.ONEROUND_SCREENS
  if (!target) return
  fs.mkdirSync(target, { recursive: true })
  await page.screenshot({ path: path.join(target, `${name}.png`), fullPage: true })
}

const DESKTOP = { width: 1280, height: 900 }
const PHONE = { width: 360, height: 740 }

/** With ONEROUND_SCREENS: in light and dark, on a phone, zoomed to 200 % and with letters of twice the size. */
export async function pictureEveryWay(page: Page, name: string): Promise<void> {
  if (!process.env.ONEROUND_SCREENS) return
  const before = page.viewportSize()
  const take = async (as: string) => {
    await settled(page)
    await picture(page, `${name}-${as}`)
  }
  await page.setViewportSize(DESKTOP)
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await take(colorScheme)
  }
  await withLargeLetters(page, () => take('letters-200'))
  await page.setViewportSize({ width: DESKTOP.width / 2, height: DESKTOP.height / 2 })
  await take('zoom-200')
  await page.setViewportSize(PHONE)
  await take('phone')
  if (before) await page.setViewportSize(before)
  await settled(page)
}

/** As a browser that enlarges text alone. */
export async function withLargeLetters(page: Page, look: () => Promise<void>): Promise<void> {
  const setSize = (size: string) =>
    page.evaluate((fontSize) => {
      document.documentElement.style.fontSize = fontSize
    }, size)
  await setSize('200%')
  await look()
  await setSize('')
}

/** What sticks out to the right of the window, where anything does. Runs in the page. */
export function findOverflowing(): string[] {
  const width = document.documentElement.clientWidth
  if (document.documentElement.scrollWidth <= width) return []
  return [...document.querySelectorAll('body *')]
    .filter((element) => element.getBoundingClientRect().right > width + 1)
    .map((element) => `${element.tagName}.${element.className}`)
    .slice(0, 5)
}

export const overflowing = (page: Page) => page.evaluate(findOverflowing)

export async function settled(page: Page): Promise<void> {
  await page.evaluate(async () => {
    for (const animation of document.getAnimations()) {
      if (animation.effect?.getComputedTiming().iterations !== Number.POSITIVE_INFINITY) animation.finish()
    }
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
  })
}
