/**
 * The host of a room that learns from pictures, in the console: each version is measured on the host's own pictures before
 * it goes out, and what it draws stands beside what the base model draws, in the console and on the wall.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { pictureSheets, SHEET_SIDE, samplePictures } from '../models/catalog/picture-samples.ts'
import { writePng } from '../models/pictures/write-png.ts'
import { findings, overflowing, picture, pictureEveryWay, settled } from './support/looks.ts'
import { NodeClient } from './support/node-client.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

const SOON = { timeout: 90_000, interval: 100 }
const ROOM = 'emoji-of-class-7b'

let folder: string
let browser: Browser
let relay: RelayProcess

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-picture-host-'))
  const args = ['--model', 'emoji-dit', '--steps', '2', '--batch', '2']
  relay = await RelayProcess.start({ dataDir: path.join(folder, 'relay'), args })
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

/** Of the host's own: nobody in the room has them. */
function ownPictures() {
  const sheet = pictureSheets.find(({ title }) => title === 'Food')!
  const png = fs.readFileSync(new URL(`../models/catalog/pictures/${sheet.file}`, import.meta.url))
  return samplePictures(png, sheet)
    .slice(0, 3)
    .map(({ name, pixels }) => ({
      name: `${name}.png`,
      mimeType: 'image/png',
      buffer: Buffer.from(writePng(pixels, SHEET_SIDE, SHEET_SIDE)),
    }))
}

async function looksRight(page: Page, name: string): Promise<string[]> {
  await pictureEveryWay(page, `pictures-host-${name}`)
  await settled(page)
  return [...(await findings(page)), ...(await overflowing(page))]
}

/** The drawn rows as numbers: base first, then merged. */
const rows = (page: Page) =>
  page.locator('[data-testid=merged-pictures] tbody tr').evaluateAll((found) =>
    found.map((row) =>
      [...row.querySelectorAll('canvas')].map((canvas) => {
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
        return Array.from(data)
      }),
    ),
  )

it('measures on pictures before it publishes, and shows what the merged model draws', async () => {
  const token = new URL(relay.answer.hostUrl).hash
  const host = await Tab.open(browser, `${relay.answer.url}/host?backend=wasm${token}`)
  const { page } = host
  // Random numbers of this size spoil any model.
  const client = new NodeClient(5, 0.3)
  const looks: string[] = []
  try {
    await host.at('host-new').click()
    await page.locator('label.choice', { hasText: 'emoji-dit' }).click()
    await host.at('plan-title').fill('Emoji of class 7b')
    await host.at('plan-gate').check()
    await host.at('plan-code').uncheck()
    await host.at('plan-publish-every').fill('1')
    expect(await host.at('plan-tokens').count()).toBe(0)
    await pictureEveryWay(page, 'pictures-host-plan')
    await host.at('plan-open').click()
    await host.at('host-text-file').setInputFiles(ownPictures())
    await expect
      .poll(() => host.at('host-text').textContent(), SOON)
      .toMatch(/3 pictures of .*, at four moments each/)
    expect(await host.at('picture-credit').first().textContent()).toMatch(/Twemoji .*CC-BY 4\.0/)

    await client.join(relay.answer.url, ROOM)
    await client.send(10)
    const held = page.locator('[data-testid=host-candidate][data-state=held]')
    await held.waitFor({ timeout: SOON.timeout })
    expect(await held.textContent()).toMatch(
      /loss on your pictures is \d+\.\d{3}, the base model’s \d\.\d{3}/,
    )
    expect(await page.locator('main').textContent()).not.toMatch(/nats|next token/)
    looks.push(...(await looksRight(page, 'held-back')))
    await host.at('host-candidate-publish').click()
    await host.at('host-candidate-publish-confirm').click()
    await expect.poll(() => host.at('host-version').textContent(), SOON).toBe('1')

    await page.locator('[data-testid=merged-pictures][data-version="1"]').waitFor({ timeout: 120_000 })
    const [base, merged] = await rows(page)
    expect([base.length, merged.length]).toEqual([4, 4])
    expect(merged).not.toEqual(base)
    looks.push(...(await looksRight(page, 'room')))

    await host.at('host-projector').click()
    await host.at('projector').waitFor()
    expect(await rows(page)).toEqual([base, merged])
    expect(await host.at('projector-loss-chart').getAttribute('data-points')).toBe('1')
    expect(await host.at('projector').textContent()).toMatch(/Loss on the host’s pictures/)
    expect(await host.at('picture-credit').textContent()).toMatch(/CC-BY 4\.0/)
    looks.push(...(await looksRight(page, 'projector')))
    await page.setViewportSize({ width: 1920, height: 1080 })
    await picture(page, 'pictures-host-projector-1080')
    expect(looks).toEqual([])
    expect(host.errors).toEqual([])
  } finally {
    client.close()
    await host.close()
  }
})

it('rehearses with a simulated student who trains on sample pictures', async () => {
  const token = new URL(relay.answer.hostUrl).hash
  const host = await Tab.open(browser, `${relay.answer.url}/host/main?backend=wasm${token}`)
  try {
    await host.at('plan-students').fill('1')
    await host.at('plan-rehearsal-steps').fill('1')
    await host.at('host-rehearse').click()
    await expect.poll(() => host.at('host-contribution').count(), SOON).toBe(1)
    expect(new URL(host.page.url()).pathname).toBe('/host/rehearsal-main')
    await expect.poll(() => host.at('host-rehearse').count(), SOON).toBe(1)
    expect(await host.at('host-recipe-time').textContent()).toMatch(/whole recipe takes (under )?\d/)
    expect(await host.at('error').count()).toBe(0)
    expect(host.errors).toEqual([])
  } finally {
    await host.close()
  }
})
