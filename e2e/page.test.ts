/** The page against its surroundings: files that are no text, origins that are not its own, and its own policy. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser } from 'playwright'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MAX_FILE_BYTES } from '../models/text/documents.ts'
import { CONTENT_SECURITY_POLICY } from '../relay/server/headers.ts'
import { ForeignServer } from './support/foreign.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

const REACH_OUT = fs.readFileSync(path.join(import.meta.dirname, 'support/reach-out.js'), 'utf8')
const PAGE_DIR = path.resolve(import.meta.dirname, '../dist/page')

let folder: string
let browser: Browser
let relay: RelayProcess
let tab: Tab

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-e2e-'))
  relay = await RelayProcess.start({ dataDir: folder })
  browser = await launchChromium()
  tab = await Tab.open(browser, `${relay.answer.joinUrl}?backend=wasm`)
  await tab.join()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

afterEach(async () => {
  const remove = tab.at('data-remove')
  while ((await remove.count()) > 0) {
    const before = await remove.count()
    await remove.first().click()
    await expect.poll(() => remove.count()).toBe(before - 1)
  }
})

/** The invitation on a village's mobile network: half a second at 100 kB/s. */
const FIRST_SCRIPT_BYTES = 45_000

/** The scripts that index.html names, and all that these import before they run. */
function firstScripts(): string[] {
  const html = fs.readFileSync(path.join(PAGE_DIR, 'index.html'), 'utf8')
  const found = new Set<string>()
  const follow = (file: string) => {
    if (found.has(file)) return
    found.add(file)
    // `import x from"./y.js"`, `import"./y.js"`; what is imported later reads `import(`.
    for (const [, next] of fs.readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*"(\.[^"]+\.js)"/g)) {
      follow(path.resolve(path.dirname(file), next))
    }
  }
  for (const [, address] of html.matchAll(/<(?:script|link)[^>]*(?:src|href)="(\/assets\/[^"]*\.js)"/g)) {
    follow(path.join(PAGE_DIR, address))
  }
  return [...found]
}

const file = (name: string, content: string | Uint8Array, mimeType = 'text/plain') => ({
  name,
  mimeType,
  buffer: Buffer.from(content),
})

/** What the person reads of a file that cannot be used: what it is and what to do. */
async function expectOneSentence(place: 'data-error' | 'error', code: string): Promise<void> {
  const error = tab.at(place)
  await error.waitFor()
  const sentence = (await error.textContent()) ?? ''
  expect(sentence).toMatch(/^\S.{20,}\.$/)
  expect(sentence).not.toMatch(/\. [A-Z]/)
  expect(await error.getAttribute('data-code')).toBe(code)
  expect(await tab.at('data-continue').isDisabled()).toBe(true)
}

describe('the page', () => {
  it('is isolated, so that threads and exact timers work', async () => {
    expect(await tab.page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true)
    expect(await (await tab.worker()).evaluate(() => globalThis.crossOriginIsolated)).toBe(true)
  })

  it.each([
    ['an empty file', file('empty.txt', ''), 'data/empty'],
    [
      'a binary file',
      file('photo.txt', Uint8Array.of(137, 80, 78, 71, 0, 1, 2, 255, 254, 0, 0)),
      'data/binary',
    ],
    ['an unknown kind of file', file('sheet.xlsx', 'PK', 'application/vnd.ms-excel'), 'data/unsupported'],
    ['text in UTF-16', file('notepad.txt', Uint8Array.of(255, 254, 72, 0, 105, 0)), 'data/binary'],
    ['text in Latin-1', file('old.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x20, 0x61)), 'data/binary'],
    ['jsonl without one good line', file('bad.jsonl', '{"text": "unfinished\n'), 'data/no-rows'],
    ['csv without a known column', file('marks.csv', 'name,mark\nAda,1\n'), 'data/no-columns'],
    ['csv without a row', file('heading.csv', 'prompt,completion\n'), 'data/no-rows'],
  ])('answers %s with one sentence', async (_, bad, code) => {
    await tab.addFiles(bad)
    await expectOneSentence('data-error', code)
  })

  it('refuses files that are too large, each by its name, without reading them', async () => {
    const large = ['diary.txt', 'letters.md'].map((name) => path.join(folder, name))
    for (const file of large) {
      fs.writeFileSync(file, '')
      fs.truncateSync(file, MAX_FILE_BYTES + 1)
    }
    await tab.at('data-file').setInputFiles(large[0])
    await expectOneSentence('error', 'data/too-large')
    await tab.at('data-file').setInputFiles(large)
    await expect.poll(() => tab.at('error').textContent()).toMatch(/diary\.txt.*letters\.md/)
  })

  it('names the broken line of a jsonl file and keeps the others', async () => {
    const line = JSON.stringify({ text: 'The quick brown fox jumps over the lazy dog. '.repeat(4) })
    await tab.addFiles(file('rows.jsonl', `${line}\n${line}\n{"text": broken\n${line}\n`))
    await tab.at('data-skipped').waitFor()
    await tab.at('data-skipped').locator('summary').click()
    expect(await tab.at('data-skipped').textContent()).toMatch(/Line 3/)
  })

  it('says what is missing when a text is too short, and goes on when more is added', async () => {
    await tab.addFiles(file('short.txt', 'Too short.'))
    await expect.poll(() => tab.at('data-need').textContent()).toMatch(/too short/)
    expect(await tab.at('data-continue').isDisabled()).toBe(true)
    await tab.addFiles(file('long.txt', 'It was the best of times, it was the worst of times. '.repeat(80)))
    await expect.poll(() => tab.at('data-continue').isEnabled(), { timeout: 20_000 }).toBe(true)
  })

  it('says of a wrong link that nothing is there, and leads to the rooms', async () => {
    const other = await Tab.open(browser, `${relay.answer.url}/joim/main`)
    try {
      await other.at('error').waitFor()
      expect(await other.at('error').getAttribute('data-code')).toBe('page/no-such-address')
      await other.at('all-rooms').click()
      await other.at('join-start').waitFor()
    } finally {
      await other.close()
    }
  })

  it('reaches no other origin, from page or worker, by any way there is', async () => {
    const foreign = await ForeignServer.open()
    try {
      // The counter counts: from outside the page it is reached.
      await fetch(`${foreign.origin}/outside`)
      expect(foreign.requests).toEqual(['GET /outside'])
      const before = foreign.bytesReceived
      expect(before).toBeGreaterThan(0)
      const script = `${REACH_OUT}\nreachOut(${JSON.stringify(foreign.origin)})`
      const fromPage = await tab.page.evaluate<string[]>(script)
      const fromWorker = await (await tab.worker()).evaluate<string[]>(script)
      // Both got to the end of their list.
      expect(fromPage).toContain('form')
      expect(fromWorker).toContain('blob-worker')
      expect(foreign.requests).toEqual(['GET /outside'])
      expect(foreign.bytesReceived).toBe(before)
    } finally {
      await foreign.close()
    }
  })
})

describe('the log of everything sent and received', () => {
  it('shows every message with its contents, and the policy as the relay sends it', async () => {
    await tab.at('wire-open').click()
    const list = tab.at('wire-entry')
    await list.first().waitFor()
    const events = await list.evaluateAll((entries) =>
      entries.map((entry) => entry.getAttribute('data-event')),
    )
    expect(events.length).toBe((await tab.diagnostics()).wire.length)
    expect(events).toEqual(expect.arrayContaining(['join', 'ack']))
    expect(events.some((event) => event?.endsWith('/manifest'))).toBe(true)
    const join = tab.page.locator('[data-testid=wire-entry][data-event=join]')
    await join.locator('summary').click()
    const contents = (await join.getByTestId('wire-contents').textContent()) ?? ''
    expect(contents).toContain('"join"')
    expect(contents).toContain(`"room":"${relay.answer.room}"`)
    await expect.poll(() => tab.at('wire-policy').textContent()).toBe(CONTENT_SECURITY_POLICY)
    // Over the screen, and gone by one key, which gives the focus back.
    await tab.page.keyboard.press('Escape')
    await expect.poll(() => tab.at('wire-panel').count()).toBe(0)
    expect(await tab.page.evaluate(() => document.activeElement?.getAttribute('data-testid'))).toBe(
      'wire-open',
    )
  })
})

describe('the built page', () => {
  it('needs less than 45 kB of packed script for its first view, and no model code', () => {
    const files = firstScripts()
    const packed = files.reduce((sum, file) => sum + gzipSync(fs.readFileSync(file), { level: 9 }).length, 0)
    console.log(`first view: ${files.length} scripts, ${packed} bytes packed`)
    expect(packed).toBeGreaterThan(10_000)
    expect(packed).toBeLessThan(FIRST_SCRIPT_BYTES)
    for (const file of files) {
      expect(path.basename(file)).not.toMatch(/tfjs|worker/)
      expect(fs.readFileSync(file, 'utf8')).not.toMatch(/tensorflow|createComputePipeline|socket\.io-parser/)
    }
  })

  it('can be used before any worker or model code has been asked for', async () => {
    const context = await browser.newContext()
    try {
      const page = await context.newPage()
      // Everything but the document and the scripts of the first view is held back for good.
      const first = new Set(firstScripts().map((file) => path.basename(file)))
      await page.route('**/*.js', async (route) => {
        const name = path.basename(new URL(route.request().url()).pathname)
        if (first.has(name)) await route.continue()
      })
      await page.goto(relay.answer.joinUrl)
      await page.getByTestId('join-start').click({ timeout: 15_000 })
      expect(await page.getByTestId('page').getAttribute('data-at')).toBe('loading')
      expect(page.workers()).toEqual([])
    } finally {
      await context.close()
    }
  })

  const html = () => fs.readFileSync(path.join(PAGE_DIR, 'index.html'), 'utf8')

  it('has no inline script, style or handler, and names nothing elsewhere', () => {
    expect(html()).not.toMatch(/<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=/i)
    for (const [, address] of html().matchAll(/\s(?:src|href)="([^"]*)"/g)) expect(address).toMatch(/^\/[^/]/)
  })

  it('brings tfjs its three wasm files under their own names', () => {
    const names = fs.readdirSync(path.join(PAGE_DIR, 'wasm')).sort()
    expect(names).toEqual([
      'tfjs-backend-wasm-simd.wasm',
      'tfjs-backend-wasm-threaded-simd.wasm',
      'tfjs-backend-wasm.wasm',
    ])
    for (const name of names) {
      const magic = fs.readFileSync(path.join(PAGE_DIR, 'wasm', name)).subarray(0, 4)
      expect(magic.toString('latin1')).toBe('\0asm')
    }
  })
})
