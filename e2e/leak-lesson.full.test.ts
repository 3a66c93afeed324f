/** The whole leak lesson in a tab, as the class sees it: what it must show on this model, with the numbers printed. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

let folder: string
let browser: Browser
let relay: RelayProcess

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-lesson-'))
  relay = await RelayProcess.start({ dataDir: folder })
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

it('runs the leak lesson in the worker, says how far it is, and stops when asked', async () => {
  const tab = await Tab.open(browser, `${relay.answer.url}/round/${relay.answer.room}?backend=wasm&steps=2`)
  try {
    await tab.at('lesson-code').fill('12')
    expect(await tab.at('lesson-start').isDisabled()).toBe(true)
    await tab.at('lesson-code').fill('2468')
    await tab.at('lesson-start').click()
    await expect
      .poll(async () => Number(await tab.at('lesson-progress').getAttribute('value')), { timeout: 60_000 })
      .toBeGreaterThan(0)
    const base = tab.page.locator('[data-testid=leak][data-condition=base]')
    await base.waitFor({ timeout: 60_000 })
    // Before training the model says something, and not the code.
    expect(await base.textContent()).not.toContain('2468')
    await tab.at('lesson-stop').click()
    await tab.at('lesson-start').waitFor({ timeout: 30_000 })
    expect(await tab.at('leak').count()).toBeLessThan(6)
    expect(tab.errors).toEqual([])
  } finally {
    await tab.close()
  }
})

it('shows the secret in the update, less of it in a mixture, and none in a private room', async () => {
  const tab = await Tab.open(browser, `${relay.answer.url}/round/${relay.answer.room}?backend=wasm`)
  try {
    await tab.at('lesson-start').click()
    await tab.at('lesson-save').waitFor({ timeout: 840_000 })
    const found = await tab.at('leak').evaluateAll((rows) =>
      rows.map((row) => ({
        condition: row.getAttribute('data-condition'),
        rank: Number(row.getAttribute('data-rank')),
        bits: Number(row.getAttribute('data-bits')),
      })),
    )
    console.log(JSON.stringify(found))
    const bits = Object.fromEntries(found.map(({ condition, bits }) => [condition, bits]))
    expect(bits.alone).toBe(8)
    expect(bits.many).toBeLessThan(bits.alone)
    expect(bits.private).toBeLessThan(bits.alone)
  } finally {
    await tab.close()
  }
})
