/**
 * A whole round in Firefox and in WebKit, on the engine that these have: join, paste, train with a reload in the middle,
 * review, send, reload, result. Skipped, with the reason, where a browser is not there. With ONEROUND_SCREENS=FOLDER pictures
 * are written there.
 */
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openFirefox } from './support/other-browsers/firefox.ts'
import type { OtherBrowser } from './support/other-browsers/other-browser.ts'
import { until } from './support/other-browsers/programs.ts'
import { openWebkit } from './support/other-browsers/webkit.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const TEXT = 'The clockmaker sets every clock in the village wrong by a minute, each in its own way. '.repeat(
  20,
)
const SHA256 = /^[0-9a-f]{64}$/
const SLOW_MS = 240_000

const both = RelayAndBrowser.forThisFile([
  '--steps',
  '40',
  '--batch',
  '1',
  '--length',
  '48',
  '--publish-every',
  '1',
])

async function takePart(browser: OtherBrowser, name: string): Promise<void> {
  const picture = async (screen: string) => {
    const folder = process.env.ONEROUND_SCREENS
    if (!folder) return
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, `${name}-${screen}.png`), await browser.screenshot())
  }
  // Without a backend in the address: what runs here is the page's own choice.
  await browser.goto(both.relay.answer.joinUrl)
  await browser.waitForText('device', /wasm|webgpu/i)
  await picture('join')
  await browser.click('join-start')
  await browser.click('tab-paste')
  await browser.fill('data-paste', TEXT)
  await browser.click('data-paste-add')
  await browser.click('data-continue')
  await browser.waitForText('plan-time', /About/, SLOW_MS)
  await picture('ready')
  await browser.click('train-start')

  // A reload in the middle goes on from the last checkpoint.
  const kept = () =>
    browser.evaluate(() =>
      Number(document.querySelector<HTMLElement>('[data-testid=train-checkpoint]')?.dataset.step ?? 0),
    )
  const before = await until(kept, SLOW_MS, 'no checkpoint is kept')
  await browser.reload()
  const steps = await until(
    async () => Number(await browser.text('train-step')),
    SLOW_MS,
    'it does not go on',
  )
  expect(steps).toBeGreaterThan(before)
  await picture('training')

  const reviewed = await browser.waitForText('review-digest', SHA256, SLOW_MS)
  const facts = await browser.evaluate(() => ({
    backend: window.oneround.backend,
    device: window.oneround.device,
    isolated: crossOriginIsolated,
    webGpu: 'gpu' in navigator,
    sharedMemory: typeof SharedArrayBuffer !== 'undefined',
    tokensPerSecond: window.oneround.tokensPerSecond,
  }))
  console.log(JSON.stringify({ browser: browser.version, ...facts }))
  expect(facts.backend).not.toBeNull()
  await picture('review')
  await browser.click('review-send')
  expect(await browser.waitForText('receipt-digest', SHA256)).toBe(reviewed)
  await browser.reload()
  expect(await browser.waitForText('receipt-digest', SHA256)).toBe(reviewed)
  await browser.click('result-open')
  await browser.waitForText('result-merged-loss', /\d\.\d{3}/, SLOW_MS)
  await picture('result')
  expect(await browser.text('error')).toBeNull()
  const { dataDir, room } = both.relay.answer
  expect(fs.readdirSync(path.join(dataDir, 'rooms', room, 'updates'))).toContain(reviewed)
}

describe.each([
  ['Firefox', openFirefox],
  ['WebKit', openWebkit],
] as const)('%s', (name, open) => {
  it('takes part in a round', async ({ skip }) => {
    const browser = await open()
    if ('missing' in browser) {
      console.log(`${name} is not tested: ${browser.missing}`)
      return skip(browser.missing)
    }
    try {
      await takePart(browser, name.toLowerCase())
    } finally {
      await browser.close()
    }
  })
})
