import { expect, it } from 'vitest'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const both = RelayAndBrowser.forThisFile()

it('runs the leak lesson in the worker, says how far it is, and stops when asked', async () => {
  const tab = await both.openTab(
    `${both.relay.answer.url}/round/${both.relay.answer.room}?backend=wasm&steps=2`,
  )
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
  const tab = await both.openTab(`${both.relay.answer.url}/round/${both.relay.answer.room}?backend=wasm`)
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
