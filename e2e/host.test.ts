/**
 * The host's whole way through a class, in the console: opens a room, sees who comes and how far they are, removes a
 * contribution, publishes, measures, finds a scale, exports, closes; a reload and another machine find the same room.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { unzipSync } from 'fflate'
import type { Browser, Page } from 'playwright'
import { encode } from 'uqr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAuditLog } from '../relay/protocol/audit.ts'
import { manifestDigest, parseManifest } from '../relay/protocol/manifest.ts'
import { pseudonym } from '../web/state/pseudonym.ts'
import { findings, overflowing, picture, pictureEveryWay, settled } from './support/looks.ts'
import { NodeClient } from './support/node-client.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

/** The console asks once a second, on a machine that has other things to do. */
const SOON = { timeout: 60_000, interval: 100 }
const WIDTHS = [320, 3840]
/** Of the room that is rehearsed. */
const QUICK = ['--steps', '4', '--batch', '1', '--length', '48']
/** Long enough a change that the loss shown, to three digits, is another one. */
const FELT_CHANGE = 0.05
const TITLE = 'Poems of class 7b'
const ROOM = 'poems-of-class-7b'
const TEXT = 'The fox ran over the hill and the dog slept by the door of the old house. '.repeat(5)

let folder: string
let browser: Browser
let relay: RelayProcess

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-host-'))
  relay = await RelayProcess.start({ dataDir: path.join(folder, 'relay'), args: QUICK })
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

const hostToken = () => new URL(relay.answer.hostUrl).hash.slice(1)
const consoleAddress = (rest = '') => `${relay.answer.url}/host${rest}?backend=wasm#${hostToken()}`

async function download(tab: Tab, testId: string): Promise<{ name: string; bytes: Buffer }> {
  const [started] = await Promise.all([tab.page.waitForEvent('download'), tab.at(testId).click()])
  return { name: started.suggestedFilename(), bytes: fs.readFileSync(await started.path()) }
}

/** Of a screen that stands still: accessible in both schemes, and nothing sticks out at any width. */
async function looksRight(page: Page, name: string): Promise<string[]> {
  const problems: string[] = []
  const size = page.viewportSize()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await settled(page)
    for (const finding of await findings(page)) problems.push(`${name} (${colorScheme}) ${finding}`)
  }
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 })
    await settled(page)
    const out = await overflowing(page)
    if (out.length > 0) problems.push(`${name} is wider than ${width} px: ${out.join(', ')}`)
  }
  await pictureEveryWay(page, `host-${name.replaceAll(' ', '-')}`)
  await page.emulateMedia({ colorScheme: 'light' })
  if (size) await page.setViewportSize(size)
  return problems
}

const number = async (tab: Tab, testId: string) => Number(await tab.at(testId).textContent())

/** Rehearsed some other day. */
async function openRehearsal(room: string): Promise<void> {
  const manifest = await (await fetch(`${relay.answer.url}/api/rooms/main/manifest`)).json()
  const answer = await fetch(`${relay.answer.url}/api/rooms`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${hostToken()}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...manifest, room, title: 'Rehearsal of fables' }),
  })
  expect(answer.status).toBe(201)
}

describe('a host', () => {
  it('takes a class through a round', async () => {
    await openRehearsal('rehearsal-fables')
    const host = await Tab.open(browser, consoleAddress())
    const { page } = host
    const looks: string[] = []
    const clients = [new NodeClient(1, FELT_CHANGE), new NodeClient(2, FELT_CHANGE)]
    try {
      // The token is gone from the address before anybody can read it there.
      await host.at('host-new').waitFor()
      expect(page.url()).toBe(`${relay.answer.url}/host?backend=wasm`)
      looks.push(...(await looksRight(page, 'home')))

      await host.at('host-new').click()
      await host.at('plan-title').fill(TITLE)
      await host.at('plan-publish-every').fill('3')
      await host.at('plan-steps').fill('4')
      await host.at('plan-tokens').fill('48')
      looks.push(...(await looksRight(page, 'plan')))
      await host.at('plan-open').click()

      // The QR code is the link with the code in it.
      await host.at('host-qr').waitFor()
      const code = (await host.at('host-code').textContent()) ?? ''
      const link = `${relay.answer.url}/join/${ROOM}#${code}`
      const { data } = encode(link, { ecc: 'M', border: 4 })
      const dark = data.flatMap((row, top) =>
        row.flatMap((isDark, left) => (isDark ? [`M${left} ${top}h1v1h-1z`] : [])),
      )
      expect(await host.at('host-qr').locator('path').getAttribute('d')).toBe(dark.join(''))

      // Two come, and are seen at work.
      await expect(clients[0].join(relay.answer.url, ROOM, 'AAAA-AAAA')).rejects.toMatchObject({
        code: 'join/code',
      })
      clients[0] = new NodeClient(1, FELT_CHANGE)
      const names = []
      for (const client of clients) {
        names.push(pseudonym(await client.join(relay.answer.url, ROOM, code.toLowerCase())))
        await client.report({ stage: 'training', step: 2, steps: 4, tokensPerSecond: 812 })
      }
      const people = page.locator('[data-testid=host-person][data-stage=training]')
      await expect.poll(() => people.count(), SOON).toBe(2)
      const rows = await people.allTextContents()
      for (const name of names) expect(rows.some((row) => row.includes(name))).toBe(true)
      for (const row of rows) expect(row).toMatch(/step 2 of 4.*812 tokens\/s/)

      // Both send; one is removed, and only after the question.
      const receipts = [await clients[0].send(10), await clients[1].send(20)]
      await expect.poll(() => host.at('host-contribution').count(), SOON).toBe(2)
      await host.at('host-compare').first().click()
      await expect
        .poll(() => host.at('host-preview').textContent(), SOON)
        .toMatch(/cosine to their mean −?-?\d/)
      const unwanted = page.locator(`[data-digest="${receipts[0].digest}"]`)
      await unwanted.getByTestId('host-remove').click()
      await host.at('host-remove-confirm').waitFor()
      expect(await host.at('host-contribution').count()).toBe(2)
      looks.push(...(await looksRight(page, 'room')))
      await host.at('host-remove-confirm').click()
      await expect.poll(() => host.at('host-contribution').count(), SOON).toBe(1)
      expect(await unwanted.count()).toBe(0)

      await host.at('host-publish').click()
      await host.at('host-publish-confirm').click()
      await expect.poll(() => number(host, 'host-version'), SOON).toBe(1)

      // Measured on the host's own text, in this tab.
      await host
        .at('host-text-file')
        .setInputFiles({ name: 'mine.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) })
      await expect.poll(() => number(host, 'host-loss-newest'), SOON).toBeGreaterThan(0)
      const losses = [await number(host, 'host-loss-base'), await number(host, 'host-loss-newest')]
      expect(losses[0]).toBeGreaterThan(0)
      expect(losses[1]).not.toBe(losses[0])
      await host.at('host-scale-find').click()
      await page.locator('[data-testid=host-scale][data-scale]').waitFor({ timeout: 120_000 })
      looks.push(...(await looksRight(page, 'measured room')))

      // A reload measures nothing anew.
      await page.reload()
      await expect.poll(() => number(host, 'host-loss-newest'), SOON).toBe(losses[1])
      await page.locator('[data-testid=host-scale][data-scale]').waitFor()
      expect(page.workers()).toEqual([])

      await host.at('host-projector').click()
      await expect.poll(() => host.at('projector-loss-chart').getAttribute('data-points'), SOON).toBe('1')
      looks.push(...(await looksRight(page, 'projector')))
      await page.setViewportSize({ width: 1920, height: 1080 })
      await picture(page, 'host-projector-1080')
      await page.setViewportSize({ width: 1280, height: 900 })
      await page.goBack()

      // Everything, checked against what the relay says.
      const everything = await download(host, 'host-export')
      expect(everything.name).toBe(`${ROOM}-everything.zip`)
      const files = unzipSync(everything.bytes)
      const text = (name: string) => Buffer.from(files[name]).toString('utf8')
      const manifest = parseManifest(JSON.parse(text('manifest.json')))
      const log = readAuditLog(text('audit.jsonl'))
      expect(log.map(({ event }) => event.event)).toEqual([
        'created',
        'accepted',
        'accepted',
        'withdrawn',
        'published',
      ])
      expect(log[0].event).toMatchObject({ manifestDigest: manifestDigest(manifest) })
      const answer = await fetch(`${relay.answer.url}/api/rooms/${ROOM}/versions`)
      const { versions } = (await answer.json()) as {
        versions: { files: { name: string; sha256: string }[] }[]
      }
      for (const { name, sha256 } of versions[0].files) {
        const hash = createHash('sha256').update(files[`adapter-v1/${name}`]).digest('hex')
        expect(hash).toBe(sha256)
      }
      const report = path.join(folder, 'report.html')
      fs.writeFileSync(report, files['report.html'])
      const reader = await Tab.open(browser, `file://${report}`)
      expect(await reader.page.locator('h1').textContent()).toBe(TITLE)
      expect(await reader.page.locator('svg circle').count()).toBeGreaterThan(1)
      const styled = await reader.page.evaluate(() => getComputedStyle(document.body).maxWidth)
      expect(styled).not.toBe('none')
      looks.push(...(await findings(reader.page)))
      expect(reader.errors).toEqual([])
      await reader.close()

      // Another machine, with the token, finds the same room.
      const other = await Tab.open(browser, consoleAddress(`/${ROOM}`))
      await expect.poll(() => other.at('host-contribution').count(), SOON).toBe(1)
      expect(await other.at('host-code').textContent()).toBe(code)
      await other.at('host-close').click()
      await other.at('host-close-confirm').click()
      await expect.poll(() => host.at('host-closed').count(), SOON).toBe(1)
      await other.close()
      expect(looks).toEqual([])
      expect(host.errors).toEqual([])
    } finally {
      for (const client of clients) client.close()
      await host.close()
    }
  })

  it('measures a version before it goes out, holds back one that is worse, and may publish it all the same', async () => {
    const host = await Tab.open(browser, consoleAddress())
    // Random numbers of this size ruin any model.
    const client = new NodeClient(3, 0.5)
    try {
      await host.at('host-new').click()
      await host.at('plan-title').fill('Gated')
      await host.at('plan-gate').check()
      await host.at('plan-code').uncheck()
      await host.at('plan-publish-every').fill('1')
      await host.at('plan-tokens').fill('48')
      await host.at('plan-open').click()
      await host
        .at('host-text-file')
        .setInputFiles({ name: 'mine.txt', mimeType: 'text/plain', buffer: Buffer.from(TEXT) })
      await client.join(relay.answer.url, 'gated')
      await client.send(10)
      const held = host.page.locator('[data-testid=host-candidate][data-state=held]')
      await held.waitFor({ timeout: 120_000 })
      expect(await held.textContent()).toMatch(/loss on your text is \d+\.\d{3}, the base model’s \d\.\d{3}/)
      expect(await host.at('host-version').textContent()).toBe('–')
      await host.at('host-candidate-publish').click()
      await host.at('host-candidate-publish-confirm').click()
      await expect.poll(() => number(host, 'host-version'), SOON).toBe(1)
      // It has been measured already.
      await expect.poll(() => host.at('host-loss-chart').getAttribute('data-points'), SOON).toBe('1')
      const log = await (await fetch(`${relay.answer.url}/api/rooms/gated/audit`)).text()
      expect(readAuditLog(log).map(({ event }) => event.event)).toEqual([
        'created',
        'accepted',
        'held-back',
        'published',
      ])
      expect(host.errors).toEqual([])
    } finally {
      client.close()
      await host.close()
    }
  })

  it('rehearses with a simulated student, in a room that the class is not shown and that is deleted afterwards', async () => {
    const host = await Tab.open(browser, consoleAddress('/main'))
    const { page } = host
    try {
      await host.at('plan-students').fill('1')
      await host.at('plan-rehearsal-steps').fill('1')
      await host.at('host-rehearse').click()
      await expect.poll(() => host.at('host-rehearsal').count(), SOON).toBe(1)
      expect(new URL(page.url()).pathname).toBe('/host/rehearsal-main')
      // A reload begins with the student at work again.
      await page.reload()
      await expect.poll(() => host.at('host-contribution').count(), SOON).toBe(1)
      await expect.poll(() => host.at('host-rehearse').count(), SOON).toBe(1)
      expect(await host.at('host-recipe-time').textContent()).toMatch(/whole recipe takes (under )?\d/)
      const student = await Tab.open(browser, relay.answer.url)
      await student.page.locator('[data-testid=page][data-at=welcome], [data-at=choosing]').waitFor()
      expect(await student.page.locator('[data-testid^=room-rehearsal]').count()).toBe(0)

      // Enough rehearsed: whoever has a link to it is told.
      await student.page.goto(`${relay.answer.url}/join/rehearsal-main`)
      await student.page.locator('[data-testid=page][data-at=welcome]').waitFor()
      await host.at('host-delete').click()
      await host.at('host-delete-confirm').click()
      await host.at('host-new').waitFor()
      expect(await host.at('host-room-rehearsal-main').count()).toBe(0)
      await student.page.reload()
      await expect
        .poll(() => student.page.locator('main').textContent(), SOON)
        .toMatch(/The host has deleted this room/)
      await student.close()
      // The next one gets another name, and goes with all rehearsals at once.
      await host.at('host-room-main').click()
      await host.at('plan-rehearsal-steps').fill('4')
      await host.at('host-rehearse').click()
      await expect.poll(() => new URL(page.url()).pathname, SOON).toBe('/host/rehearsal-main-2')
      await page.goBack()
      await page.getByRole('link', { name: 'All rooms' }).click()
      await host.at('host-rehearsals-delete').click()
      await host.at('host-rehearsals-delete-confirm').click()
      await expect.poll(() => host.at('host-rehearsals-delete').count(), SOON).toBe(0)
      const rooms = fs.readdirSync(path.join(relay.answer.dataDir, 'rooms'))
      expect(rooms.filter((name) => name.includes('rehearsal'))).toEqual([])
      // The taken name, which the relay alone knew; and a room that was looked at while it went.
      expect(host.errors.filter((error) => !/409|410/.test(error))).toEqual([])
    } finally {
      await host.close()
    }
  })

  it('opens a room of LoRA-SB, whose fixed factors the relay makes', async () => {
    const host = await Tab.open(browser, consoleAddress())
    try {
      await host.at('host-new').click()
      await host.at('plan-title').fill('Tiny cores')
      const plain = await host.at('plan-update-bytes').textContent()
      await host.at('plan-form-lora-sb').check()
      await host.at('plan-rank').fill('2')
      expect(await host.at('plan-update-bytes').textContent()).not.toBe(plain)
      expect(await host.at('plan-start-wait').textContent()).toMatch(/first makes the fixed factors/)
      await host.at('plan-open').click()
      await host.at('host-qr').waitFor(SOON)
      const url = `${relay.answer.url}/api/rooms/tiny-cores/manifest`
      const { base, adapter } = parseManifest(await (await fetch(url)).json())
      expect(adapter).toMatchObject({
        form: 'lora-sb',
        rank: 2,
        start: { name: 'lora-sb-rank-2.safetensors' },
      })
      const file = await fetch(`${relay.answer.url}/models/${base.digest}/${adapter.start!.name}`)
      const hash = createHash('sha256').update(new Uint8Array(await file.arrayBuffer()))
      expect(hash.digest('hex')).toBe(adapter.start!.sha256)
      expect(host.errors).toEqual([])
    } finally {
      await host.close()
    }
  })

  it('is asked for the token, and told when it is not the right one', async () => {
    const tab = await Tab.open(browser, `${relay.answer.url}/host#${'0'.repeat(32)}`)
    try {
      await tab.at('host-token').waitFor()
      expect(await looksRight(tab.page, 'token')).toEqual([])
      await tab.at('host-token').fill('not-the-token')
      await tab.at('host-enter').click()
      await expect.poll(() => tab.at('host-token-wrong').textContent(), SOON).toMatch(/not the token/)
      await tab.at('host-token').fill(relay.answer.hostUrl)
      await tab.at('host-enter').click()
      await tab.at('host-new').waitFor()

      // Somebody has seen it: a new one, and the old one opens nothing any more.
      await tab.at('host-key').click()
      await tab.at('host-key-confirm').click()
      const link = (await tab.at('host-key-link').textContent()) ?? ''
      const old = await Tab.open(browser, relay.answer.hostUrl)
      await old.at('host-token').waitFor()
      await old.page.goto('about:blank')
      await old.page.goto(link)
      await old.at('host-new').waitFor()
      await old.close()
    } finally {
      await tab.close()
    }
  })
})
