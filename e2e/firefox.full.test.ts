/**
 * A whole student round in Firefox, on the engine that it has: join, paste, train, review, send, reload, result. Skipped, with
 * the reason, where there is no Firefox. With ONEROUND_SCREENS=FOLDER pictures are written there.
 */
import fs from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { Firefox } from './support/firefox.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const TEXT = 'The clockmaker sets every clock in the village wrong by a minute, each in its own way. '.repeat(
  20,
)
const SHA256 = /^[0-9a-f]{64}$/
const SLOW = 240_000

const both = RelayAndBrowser.forThisFile([
  '--steps',
  '6',
  '--batch',
  '1',
  '--length',
  '48',
  '--publish-every',
  '1',
])

async function takePart(browser: Firefox): Promise<void> {
  const picture = async (screen: string) => {
    const folder = process.env.ONEROUND_SCREENS
    if (!folder) return
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, `firefox-${screen}.png`), await browser.screenshot())
  }
  // Without a backend in the address: what runs here is the page's own choice.
  await browser.goto(both.relay.answer.joinUrl)
  await browser.waitForText('device', /\w/)
  await browser.click('join-start')
  await browser.click('tab-paste')
  await browser.fill('data-paste', TEXT)
  await browser.click('data-paste-add')
  await browser.click('data-continue')
  await browser.waitForText('plan-time', /About/, SLOW)
  await picture('ready')
  await browser.click('train-start')
  const reviewed = await browser.waitForText('review-digest', SHA256, SLOW)
  const facts = await browser.evaluate(() => ({
    backend: window.oneround.backend,
    device: window.oneround.device,
    isolated: crossOriginIsolated,
    webGpu: 'gpu' in navigator,
    tokensPerSecond: window.oneround.tokensPerSecond,
  }))
  console.log(JSON.stringify({ browser: browser.version, ...facts }))
  expect(facts.backend).not.toBeNull()
  await browser.click('review-send')
  expect(await browser.waitForText('receipt-digest', SHA256)).toBe(reviewed)
  await browser.goto(both.relay.answer.joinUrl)
  expect(await browser.waitForText('receipt-digest', SHA256)).toBe(reviewed)
  await browser.click('result-open')
  await browser.waitForText('result-merged-loss', /\d\.\d{3}/, SLOW)
  await picture('result')
  expect(await browser.text('error')).toBeNull()
  const { dataDir, room } = both.relay.answer
  expect(fs.readdirSync(path.join(dataDir, 'rooms', room, 'updates'))).toContain(reviewed)
}

it('takes part in a round', async ({ skip }) => {
  const firefox = await Firefox.open()
  if ('missing' in firefox) {
    console.log(`Firefox is not tested: ${firefox.missing}`)
    return skip(firefox.missing)
  }
  try {
    await takePart(firefox)
  } finally {
    await firefox.close()
  }
})
