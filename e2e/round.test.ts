/**
 * A whole round, for real: a relay process, three tabs with WebGPU training on different authors, one update
 * each, a power cut in between, and the merged version; then everything the tabs sent is searched for their texts.
 * The tests build on each other, in this order.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import Database from 'libsql'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTokenizer } from '../models/text/tokenizer.ts'
import { RelayClient } from '../relay/client/index.ts'
import { type Manifest, parseManifest, type Version } from '../relay/protocol/index.ts'
import { SECURITY_HEADERS } from '../relay/server/headers.ts'
import { startRelay } from '../relay/server/server.ts'
import { Ledger } from '../relay/store/ledger.ts'
import { compareWithDenseMean } from './support/dense-merge.ts'
import { LeakSearch, type Secret } from './support/leaks.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'
import { requestBytes, WireGate } from './support/wire.ts'

const FULL = process.env.ONEROUND_FULL === '1'
const CATALOG = path.resolve(import.meta.dirname, '../models/catalog')
/** Few and short steps: this is about the round, not about what is learnt. */
const STEPS = 3
const HOST_OPTIONS = ['--steps', String(STEPS), '--batch', '2', '--length', '64', '--publish-every', '3']
/** Besides its update, and asking for the page's own files, a tab asks for room and model and sends the socket's messages. */
const OVERHEAD_BYTES = 16 * 1024
/** The built page: the same for everybody, so that asking for one of these files tells nothing. */
const PAGE_DIR = path.resolve(import.meta.dirname, '../dist/page')
const PAGE_FILES = new Set([
  '/',
  ...fs
    .readdirSync(PAGE_DIR, { recursive: true, encoding: 'utf8' })
    .map((name) => `/${name.replaceAll(path.sep, '/')}`),
])

class Participant {
  readonly name: string
  readonly text: string
  readonly gate: WireGate
  readonly tab: Tab
  digest = ''
  private constructor(name: string, text: string, gate: WireGate, tab: Tab) {
    this.name = name
    this.text = text
    this.gate = gate
    this.tab = tab
  }

  /** Opens a tab behind a gate of its own and takes it to the point where it has joined and chosen a text. */
  static async open(browser: Browser, relay: RelayProcess, author: string): Promise<Participant> {
    const gate = await WireGate.open(relay.answer.url)
    const tab = await Tab.open(browser, `${gate.origin}/join/${relay.answer.room}?backend=webgpu`)
    // A part of the sample, so that evaluating it on a software adapter takes seconds.
    const text = fs.readFileSync(path.join(CATALOG, 'samples', `${author}.txt`), 'utf8').slice(0, 3000)
    await tab.join()
    await tab.addFiles({ name: `${author}.txt`, mimeType: 'text/plain', buffer: Buffer.from(text) })
    return new Participant(author, text, gate, tab)
  }

  async trainAndSend(): Promise<void> {
    await this.tab.train()
    const reviewed = await this.tab.at('review-digest').textContent()
    const { backend, executor, planDispatches, tfjsOps, steps } = await this.tab.diagnostics()
    expect({ backend, executor, tfjsOps, steps }).toEqual({
      backend: 'webgpu',
      executor: 'plan',
      tfjsOps: 0,
      steps: STEPS,
    })
    expect(planDispatches).toBeGreaterThan(0)
    this.digest = await this.tab.send()
    expect(this.digest).toBe(reviewed)
  }
}

let folder: string
let browser: Browser
let relay: RelayProcess
let first: Participant
let second: Participant
let third: Participant
let version: Version
const participants = () => [first, second, third]

async function api<T>(route: string): Promise<T> {
  const response = await fetch(new URL(`/api/rooms/${relay.answer.room}/${route}`, relay.answer.url))
  if (!response.ok) throw new Error(`${route}: ${response.status}`)
  return response.json() as Promise<T>
}

const updatesFolder = () => path.join(relay.answer.dataDir, 'rooms', relay.answer.room, 'updates')
const storedUpdate = (digest: string) => fs.readFileSync(path.join(updatesFolder(), digest))

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-e2e-'))
  relay = await RelayProcess.start({ dataDir: path.join(folder, 'relay'), args: HOST_OPTIONS })
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  for (const participant of participants()) await participant?.gate.close()
  fs.rmSync(folder, { recursive: true, force: true })
})

// Each test goes on from the one before, so after a failure the rest says nothing and is skipped.
let failed = false
beforeEach((context) => {
  context.skip(failed, 'an earlier step of the round failed')
  context.onTestFailed(() => {
    failed = true
  })
})

describe('a round', () => {
  it('takes the first update, whose tab closes right after the receipt', async () => {
    first = await Participant.open(browser, relay, 'doyle')
    second = await Participant.open(browser, relay, 'carroll')
    await first.trainAndSend()
    await first.tab.close()
    expect(await api('status')).toMatchObject({ contributions: 1, waiting: 1, versions: 0 })
  })

  it('loses nothing accepted when the relay is killed and started again', async () => {
    const before = storedUpdate(first.digest)
    const { port, dataDir, manifestDigest } = relay.answer
    await relay.kill()
    relay = await RelayProcess.start({ dataDir, port, args: HOST_OPTIONS })
    expect(relay.answer.manifestDigest).toBe(manifestDigest)
    expect(await api('status')).toMatchObject({ contributions: 1, waiting: 1, versions: 0 })
    expect(storedUpdate(first.digest)).toEqual(before)
  })

  it('goes on with the tab that had joined before, and one that joins after another has gone', async () => {
    await second.trainAndSend()
    expect(await api('versions')).toEqual({ versions: [] })
    third = await Participant.open(browser, relay, 'darwin')
    await third.trainAndSend()
    expect(await api('status')).toMatchObject({ contributions: 3 })
    expect(fs.readdirSync(updatesFolder()).sort()).toEqual(
      participants()
        .map(({ digest }) => digest)
        .sort(),
    )
  })

  it('shows the merged version in the tabs that stayed', async () => {
    for (const { tab } of [second, third]) {
      await tab.at('result-open').click()
      await tab.at('merged-version').waitFor({ timeout: 30_000 })
      for (const which of ['base', 'own', 'merged']) {
        await tab.at(`result-${which}-loss`).waitFor({ timeout: 90_000 })
      }
      const { loss, planDispatches, tfjsOps } = await tab.diagnostics()
      // Forward, backward and the optimiser of four layers: hundreds of dispatches a step, none of them tfjs's.
      expect(planDispatches).toBeGreaterThan(100 * STEPS)
      expect(tfjsOps).toBe(0)
      for (const measured of [loss.base, loss.own, loss.merged]) {
        expect(measured).toBeGreaterThan(0)
        expect(measured).toBeLessThan(Math.log(2048) + 1)
      }
    }
    version = (await api<{ versions: Version[] }>('versions')).versions[0]
    expect(version).toMatchObject({ version: 1, contributions: 3 })
    for (const { tab } of [second, third]) {
      expect(await tab.at('merged-version').getAttribute('data-digest')).toBe(version.digest)
      expect(await tab.at('merged-version').getAttribute('data-own')).toBe('true')
    }
  })

  it('merges what an independent recomputation from the stored updates gives', async () => {
    const manifest = parseManifest(await api('manifest'))
    const merged = await fetch(
      new URL(`/api/rooms/${manifest.room}/versions/1/adapter_model.safetensors`, relay.answer.url),
    )
    const weights = Buffer.from(await merged.arrayBuffer())
    const config = await api<{ r: number; lora_alpha: number; rank_pattern: object; alpha_pattern: object }>(
      'versions/1/adapter_config.json',
    )
    expect(config.lora_alpha).toBe(config.r)
    expect(config.alpha_pattern).toEqual(config.rank_pattern)
    const updates = participants().map(({ digest }) => {
      const bytes = storedUpdate(digest)
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(digest)
      return bytes
    })
    if (manifest.strategy.id !== 'florist') throw new Error('the default strategy is florist')
    const comparisons = compareWithDenseMean(manifest, updates, weights)
    expect(comparisons).toHaveLength(28)
    for (const { name, energy, missing, cosine, rank } of comparisons) {
      expect(energy, name).toBeGreaterThan(0)
      expect(missing, name).toBeLessThanOrEqual(1 - manifest.strategy.tau + 1e-6)
      expect(cosine, name).toBeLessThan(1e-3)
      expect(rank, name).toBeLessThanOrEqual(3 * manifest.adapter.rank)
    }
  })

  it(`gives the same digest for ${FULL ? 'all six' : 'three of the six'} orders of arrival`, async () => {
    const manifest = parseManifest(await api('manifest'))
    const [a, b, c] = participants().map(({ digest }) => digest)
    // They came as a, b, c. The relay's own tests have every order of the smallest models' updates.
    const orders = [
      [c, b, a],
      [b, c, a],
      ...(FULL
        ? [
            [a, b, c],
            [a, c, b],
            [b, a, c],
            [c, a, b],
          ]
        : []),
    ]
    for (const [i, order] of orders.entries()) {
      expect(await replay(manifest, order, path.join(folder, `order-${i}`)), order.join(' ')).toBe(
        version.digest,
      )
    }
  })
})

/** The room's manifest names the key that signs receipts, so a relay that takes the room over needs it. */
function giveReceiptKey(from: string, to: string): void {
  const ledger = new Database(path.join(from, 'relay.sqlite'), { readonly: true })
  const row = ledger.prepare("SELECT secret_hex FROM secrets WHERE name = 'receipt-key'").get()
  ledger.close()
  fs.mkdirSync(to, { recursive: true })
  const store = new Ledger(path.join(to, 'relay.sqlite'))
  store.close()
  const database = new Database(path.join(to, 'relay.sqlite'))
  const { secret_hex } = row as { secret_hex: string }
  database.prepare("INSERT INTO secrets (name, secret_hex) VALUES ('receipt-key', ?)").run(secret_hex)
  database.close()
}

/** The same room in a relay of its own, which signs with the same key, into which the stored updates are sent in this order. */
async function replay(manifest: Manifest, order: readonly string[], dataDir: string): Promise<string> {
  const files = new Map(manifest.base.files.map(({ name }) => [name, path.join(CATALOG, 'tiny', name)]))
  giveReceiptKey(relay.answer.dataDir, dataDir)
  const replayed = await startRelay({
    dataDir,
    modelFiles: [{ digest: manifest.base.digest, files }],
    rooms: [manifest],
    log: (await import('pino')).default({ level: 'silent' }),
  })
  try {
    let tellPublished = (_: Version) => {}
    const published = new Promise<Version>((resolve) => {
      tellPublished = resolve
    })
    for (const digest of order) {
      const client = new RelayClient()
      client.on('published', (newest) => tellPublished(newest))
      await client.join(replayed.url, manifest.room)
      await client.upload(storedUpdate(digest))
      if (digest !== order.at(-1)) client.close()
      else {
        const { digest: merged, contributions } = await published
        expect(contributions).toBe(order.length)
        client.close()
        return merged
      }
    }
    throw new Error('nothing was sent')
  } finally {
    await replayed.close()
  }
}

describe('what the tabs sent', () => {
  const tokenizer = createTokenizer(
    JSON.parse(fs.readFileSync(path.join(CATALOG, 'tiny/tokenizer.json'), 'utf8')),
    JSON.parse(fs.readFileSync(path.join(CATALOG, 'tiny/tokenizer_config.json'), 'utf8')),
  )
  const secret = ({ name, text }: Participant): Secret => ({ name, text, tokens: tokenizer.encode(text) })

  it('holds their updates and nothing of their texts', () => {
    const search = new LeakSearch(participants().map(secret))
    for (const { gate, digest, name } of participants()) {
      const update = storedUpdate(digest)
      const messages = Buffer.concat(gate.messages)
      // The search saw the upload itself: the update's last 64 KiB passed this gate.
      expect(messages.includes(update.subarray(Math.max(0, update.length - 60_000))), name).toBe(true)
      expect(search.find(gate.sent), name).toEqual([])
    }
  })

  it("stays under the update and 16 KB, the page's own files aside", () => {
    for (const { gate, digest, name } of participants()) {
      const update = storedUpdate(digest).length
      expect(gate.bytesSent, name).toBeGreaterThan(update)
      const others = gate.requests.filter(({ path: asked }) => !PAGE_FILES.has(asked))
      const forPage = gate.requests.filter(({ path: asked }) => PAGE_FILES.has(asked))
      for (const { method, path: asked, body } of forPage)
        expect([method, body.length], asked).toEqual(['GET', 0])
      const overhead =
        gate.bytesSent - forPage.reduce((sum, request) => sum + requestBytes(request), 0) - update
      const told = others.map((request) => `${request.path} ${requestBytes(request)}`)
      expect(overhead, `${name}: ${gate.messages.length} messages, ${told.join(', ')}`).toBeLessThan(
        OVERHEAD_BYTES,
      )
    }
  })

  it('is searched well: a leak planted in a tab is caught, in every encoding', async () => {
    const { tab, gate, text } = third
    const { tokens } = secret(third)
    const search = new LeakSearch([secret(third)])
    const plant = async (body: Buffer, how: 'request' | 'address' | 'socket' | 'worker') => {
      const since = gate.sent.length
      const base64 = body.toString('base64')
      if (how === 'worker') {
        const worker = await tab.worker()
        await worker.evaluate((data) => fetch('/api/planted', { method: 'POST', body: data }), base64)
      } else {
        await tab.page.evaluate(
          async ({ data, way }) => {
            const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0))
            if (way === 'request') await fetch('/api/planted', { method: 'POST', body: bytes })
            if (way === 'address') await fetch(`/api/planted?${data.replaceAll('=', '')}`)
            if (way === 'socket') {
              const address = `${location.origin.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`
              const socket = new WebSocket(address)
              await new Promise((resolve) => socket.addEventListener('open', resolve))
              socket.send(bytes)
              await new Promise((resolve) => socket.addEventListener('close', resolve))
            }
          },
          { data: base64, way: how },
        )
      }
      return search.find(gate.sent.slice(since)).map(({ encoding }) => encoding)
    }
    const part = text.slice(1000, 1060)
    const run = Array.from(tokens).slice(20, 40)
    expect(await plant(Buffer.from(part), 'request')).toContain('UTF-8')
    expect(await plant(Buffer.from(part, 'utf16le'), 'socket')).toContain('UTF-16LE')
    expect(await plant(Buffer.from(part, 'utf16le').swap16(), 'request')).toContain('UTF-16BE')
    expect(await plant(Buffer.from(part), 'address')).toContain('UTF-8 in base64')
    expect(await plant(Buffer.from(part), 'worker')).toContain('UTF-8 in base64')
    expect(await plant(Buffer.from(Uint16Array.from(run).buffer), 'socket')).toContain(
      'token ids as u16 little-endian',
    )
    expect(await plant(Buffer.from(Uint32Array.from(run).buffer), 'request')).toContain(
      'token ids as u32 little-endian',
    )
    expect(await plant(Buffer.from(JSON.stringify(run)), 'request')).toContain('token ids as decimals')
  })

  it('got the same headers with every response', () => {
    for (const { gate, name } of participants()) {
      expect(gate.responses.length, name).toBeGreaterThan(8)
      for (const response of gate.responses) {
        for (const [header, value] of Object.entries(SECURITY_HEADERS)) {
          expect(response.headers[header.toLowerCase()], `${response.path}: ${header}`).toBe(value)
        }
      }
    }
    // Errors and upgrades are among them.
    const statuses = new Set(third.gate.responses.map(({ status }) => status))
    expect([...statuses]).toEqual(expect.arrayContaining([101, 200, 404]))
  })
})
