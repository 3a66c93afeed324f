/**
 * Every screen in every form people meet it in: no finding of axe (WCAG 2.2 AA) in light and dark, nothing that
 * has to be scrolled sideways from 320 px (which is 200 % zoom of a phone, or 400 % of a laptop) to 4K, no layout
 * that shifts by itself. With ONEROUND_SCREENS=FOLDER pictures of each are written there; the test prints where.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findings, overflowing, picture, settled, withLargeLetters } from './support/looks.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'
import { WALK_HOST_OPTIONS, walkThrough } from './support/walk.ts'

const DESKTOP = { width: 1280, height: 900 }
const PHONE = { width: 360, height: 740 }
const FULL = process.env.ONEROUND_FULL === '1'
const WIDTHS = FULL || process.env.ONEROUND_SCREENS ? [320, 360, 640, 1280, 3840] : [320, 640, 3840]
/** What differs between light and dark. */
const COLOUR_RULES = ['color-contrast', 'link-in-text-block']
/** https://web.dev/articles/cls calls up to 0.1 good; here everything has its place from the start. */
const MAX_LAYOUT_SHIFT = 0.02

let folder: string
let browser: Browser
let relay: RelayProcess

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-screens-'))
  relay = await RelayProcess.start({ dataDir: path.join(folder, 'relay'), args: WALK_HOST_OPTIONS })
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

describe('every screen', () => {
  it('is accessible in light and dark, fits every width, and does not shift', async () => {
    const tab = await Tab.open(browser, 'about:blank')
    const { page } = tab
    const problems: string[] = []
    await page.addInitScript(() => {
      const shifts: { value: number; nodes: string[] }[] = []
      Object.assign(window, { shifts })
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
          const { value, hadRecentInput, sources } = entry as unknown as {
            value: number
            hadRecentInput: boolean
            sources: { node: Element | null }[]
          }
          if (!hadRecentInput) {
            shifts.push({
              value,
              nodes: sources.map(({ node }) => `${node?.nodeName}.${node?.className ?? ''}`),
            })
          }
        }
      }).observe({ type: 'layout-shift', buffered: true })
    })
    await page.setViewportSize(DESKTOP)
    try {
      await walkThrough(tab, relay, async (screen) => {
        // What shifted by itself on the way here; what this test's own resizing shifts is dropped below.
        const shifts = await page.evaluate(
          () => (window as unknown as { shifts: { value: number; nodes: string[] }[] }).shifts,
        )
        const total = shifts.reduce((sum, { value }) => sum + value, 0)
        if (total > MAX_LAYOUT_SHIFT) {
          problems.push(`${screen} shifts by ${total.toFixed(3)}: ${JSON.stringify(shifts)}`)
        }
        for (const scheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme: scheme })
          await settled(page)
          const rules = scheme === 'light' ? undefined : COLOUR_RULES
          for (const finding of await findings(page, rules)) problems.push(`${screen} (${scheme}) ${finding}`)
          await picture(page, `${screen}-${scheme}`)
        }
        await page.emulateMedia({ colorScheme: 'light' })
        if (FULL || process.env.ONEROUND_SCREENS) {
          await withLargeLetters(page, async () => {
            await settled(page)
            const out = await overflowing(page)
            if (out.length > 0) problems.push(`${screen} is too wide for letters of 200 %: ${out.join(', ')}`)
            await picture(page, `${screen}-letters-200`)
          })
        }
        for (const width of WIDTHS) {
          await page.setViewportSize({ ...PHONE, width })
          await settled(page)
          const out = await overflowing(page)
          if (out.length > 0) problems.push(`${screen} is wider than ${width} px: ${out.join(', ')}`)
          if (width === PHONE.width) await picture(page, `${screen}-phone`)
          if (width === DESKTOP.width / 2) await picture(page, `${screen}-zoom-200`)
        }
        await page.setViewportSize(DESKTOP)
        await settled(page)
        await page.evaluate(() => {
          const seen = (window as unknown as { shifts: unknown[] }).shifts
          seen.length = 0
        })
      })
      if (process.env.ONEROUND_SCREENS)
        console.log(`pictures of every screen: ${process.env.ONEROUND_SCREENS}`)
      expect(problems).toEqual([])
      // The walk meets one broken address on purpose; the browser logs its 404.
      expect(tab.errors.filter((error) => !error.includes('404'))).toEqual([])
    } finally {
      await tab.close()
    }
  })
})
