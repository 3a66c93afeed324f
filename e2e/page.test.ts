/** The page against its surroundings: files that are no text, origins that are not its own, and its own policy. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ForeignServer } from './support/foreign.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

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

const file = (name: string, content: string | Uint8Array, mimeType = 'text/plain') => ({
  name,
  mimeType,
  buffer: Buffer.from(content),
})

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
    ['jsonl without one good line', file('bad.jsonl', '{"text": "unfinished\n'), undefined],
  ])('answers %s with one sentence', async (_, bad, code) => {
    await tab.addFiles(bad)
    const error = tab.at('data-error')
    await error.waitFor()
    const sentence = (await error.textContent()) ?? ''
    expect(sentence).toMatch(/^[^.]{20,}.*\.$/)
    if (code !== undefined) expect(await error.getAttribute('data-code')).toBe(code)
    expect(await tab.at('data-continue').isDisabled()).toBe(true)
    await tab.at('data-remove').click()
    await error.waitFor({ state: 'detached' })
  })

  it('names the broken line of a jsonl file and keeps the others', async () => {
    const line = JSON.stringify({ text: 'The quick brown fox jumps over the lazy dog. '.repeat(4) })
    await tab.addFiles(file('rows.jsonl', `${line}\n${line}\n{"text": broken\n${line}\n`))
    await tab.at('data-skipped').waitFor()
    await tab.at('data-skipped').locator('summary').click()
    expect(await tab.at('data-skipped').textContent()).toMatch(/Line 3/)
    await tab.at('data-remove').click()
  })

  it('says what is missing when a text is too short, and goes on when more is added', async () => {
    await tab.addFiles(file('short.txt', 'Too short.'))
    await expect.poll(() => tab.at('data-need').textContent()).toMatch(/too short/)
    expect(await tab.at('data-continue').isDisabled()).toBe(true)
    await tab.addFiles(file('long.txt', 'It was the best of times, it was the worst of times. '.repeat(80)))
    await expect.poll(() => tab.at('data-continue').isEnabled(), { timeout: 20_000 }).toBe(true)
  })

  it('reaches no other origin, from page or worker, by any way there is', async () => {
    const foreign = await ForeignServer.open()
    try {
      // The counter counts: from outside the page it is reached.
      await fetch(`${foreign.origin}/outside`)
      expect(foreign.requests).toEqual(['GET /outside'])
      const before = foreign.connections
      await tab.page.evaluate(async (origin) => {
        const settle = (promise: Promise<unknown>) => promise.catch(() => {})
        const wait = (target: EventTarget, ...events: string[]) =>
          Promise.race([
            ...events.map((event) => new Promise((resolve) => target.addEventListener(event, resolve))),
            new Promise((resolve) => setTimeout(resolve, 1000)),
          ])
        await settle(fetch(`${origin}/fetch`, { mode: 'no-cors' }))
        await settle(
          fetch(`${origin}/post`, { method: 'POST', body: 'secret', mode: 'no-cors', keepalive: true }),
        )
        navigator.sendBeacon(`${origin}/beacon`, 'secret')
        const request = new XMLHttpRequest()
        request.open('GET', `${origin}/xhr`)
        const ended = wait(request, 'loadend')
        request.send()
        await ended
        const image = new Image()
        image.src = `${origin}/image`
        await wait(image, 'load', 'error')
        for (const [tag, attribute] of [
          ['script', 'src'],
          ['link', 'href'],
          ['iframe', 'src'],
          ['object', 'data'],
          ['video', 'src'],
        ]) {
          const element = document.createElement(tag)
          if (tag === 'link') element.setAttribute('rel', 'stylesheet')
          element.setAttribute(attribute, `${origin}/${tag}`)
          document.head.append(element)
          await wait(element, 'load', 'error')
          element.remove()
        }
        try {
          await wait(new WebSocket(`${origin.replace('http', 'ws')}/socket`), 'open', 'error')
        } catch {
          // Some browsers throw, others tell the socket.
        }
        await wait(new EventSource(`${origin}/events`), 'open', 'error')
        await settle(import(/* @vite-ignore */ `${origin}/module`))
      }, foreign.origin)
      const worker = await tab.worker()
      await worker.evaluate(async (origin) => {
        await fetch(`${origin}/worker-fetch`, { mode: 'no-cors' }).catch(() => {})
        await new Promise((resolve) => {
          try {
            const socket = new WebSocket(`${origin.replace('http', 'ws')}/worker-socket`)
            socket.addEventListener('error', resolve)
            socket.addEventListener('open', resolve)
          } catch {
            resolve(undefined)
          }
          setTimeout(resolve, 1000)
        })
        await import(/* @vite-ignore */ `${origin}/worker-module`).catch(() => {})
      }, foreign.origin)
      expect(foreign.requests).toEqual(['GET /outside'])
      expect(foreign.connections).toBe(before)
    } finally {
      await foreign.close()
    }
  })
})

describe('the built page', () => {
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
