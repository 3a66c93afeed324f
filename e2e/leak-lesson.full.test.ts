/** The whole leak lesson in a tab, as the class sees it: what it must show on this model, with the numbers printed. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

it('shows the secret in the update, less of it in a mixture, and none in a private room', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-lesson-'))
  const relay = await RelayProcess.start({ dataDir: folder })
  const browser = await launchChromium()
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
    await browser.close()
    await relay.stop()
    fs.rmSync(folder, { recursive: true, force: true })
  }
})
