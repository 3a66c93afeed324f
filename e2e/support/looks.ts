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
