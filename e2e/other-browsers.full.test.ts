/**
 * A whole round in Firefox and in WebKit, on the engine that these have: join, paste, train with a reload in the middle,
 * review, send, reload, result. Skipped, with the reason, where a browser is not there. With ONEROUND_SCREENS=FOLDER pictures
 * are written there.
 */
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { findOverflowing } from './support/looks.ts'
import { openFirefox } from './support/other-browsers/firefox.ts'
import type { OtherBrowser } from './support/other-browsers/other-browser.ts'
import { until, WAIT_MS } from './support/other-browsers/programs.ts'
import { openWebkit } from './support/other-browsers/webkit.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'

const TEXT = 'The clockmaker sets every clock in the village wrong by a minute, each in its own way. '.repeat(
  20,
)
const SHA256 = /^[0-9a-f]{64}$/
const SLOW_MS = 240_000
/** A desk's window and a phone's, which some browsers make no narrower than they like. */
const SIZES = [
  [1280, 900],
  [390, 844],
] as const

const both = RelayAndBrowser.forThisFile([
  '--steps',
  '60',
  '--batch',
  '1',
  '--length',
  '48',
  '--publish-every',
  '1',
])

async function takePart(browser: OtherBrowser, name: string): Promise<void> {
  const look = async (screen: string) => {
    const folder = process.env.ONEROUND_SCREENS
    for (const [width, height] of SIZES) {
      await browser.resize(width, height)
      expect(await browser.evaluate(findOverflowing), `${screen} at ${width}`).toEqual([])
      if (!folder) continue
      fs.mkdirSync(folder, { recursive: true })
      fs.writeFileSync(path.join(folder, `${name}-${screen}-${width}.png`), await browser.screenshot())
    }
  }
  // Without a backend in the address: what runs here is the page's own choice.
  await browser.goto(both.relay.answer.joinUrl)
  await browser.waitForText('device', /wasm|webgpu/i)
  // What of the two is missing, and what trains instead, is one sentence.
  const [note, lacks] = await browser.evaluate(() => [
    document.querySelector('.device-note')?.textContent ?? '',
    [
      ...('gpu' in navigator ? [] : ['WebGPU']),
      ...(typeof SharedArrayBuffer === 'undefined' ? ['SharedArrayBuffer'] : []),
    ],
  ])
  if (lacks.length > 0) expect(note).toMatch(/^[^.]* processor trains[^.]*\.$/)
  for (const missing of lacks) expect(note).toContain(missing)
  await look('join')
  await browser.click('join-start')
  await browser.click('tab-paste')
  await browser.fill('data-paste', TEXT)
  await browser.click('data-paste-add')
  await browser.click('data-continue')
  await browser.waitForText('plan-time', /About/, SLOW_MS)
  await look('ready')
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
  const drawn = () =>
    browser.evaluate(() => document.querySelector('[data-testid=loss-chart] canvas') !== null)
  await until(drawn, WAIT_MS, 'the curve does not come')
  await look('training')

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
  await look('review')
  await browser.click('review-send')
  expect(await browser.waitForText('receipt-digest', SHA256)).toBe(reviewed)
  await browser.reload()
  expect(await browser.waitForText('receipt-digest', SHA256)).toBe(reviewed)
  await browser.click('result-open')
  await browser.waitForText('result-merged-loss', /\d\.\d{3}/, SLOW_MS)
  await look('result')
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
