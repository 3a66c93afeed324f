/**
 * A round of pictures, for real: two tabs with different kinds of them, one update each, the merged model drawing beside base and
 * own; then everything the tabs sent is searched for their pictures. One tab trains on WebGPU over files of its own, the other on
 * wasm over a sample set. The tests build on each other, in this order.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { decode } from 'fast-png'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { pictureSheets, samplePictures } from '../models/catalog/picture-samples.ts'
import { crc32 } from '../models/pictures/crc32.ts'
import { readPictures } from '../models/pictures/read-pictures.ts'
import { nodeWebpModule } from '../models/pictures/webp-node.ts'
import { writePng } from '../models/pictures/write-png.ts'
import { findings, overflowing, pictureEveryWay, settled } from './support/looks.ts'
import { PictureLeakSearch, type PictureSecret } from './support/picture-leaks.ts'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'
import { WireGate } from './support/wire.ts'

const MODELS = path.resolve(import.meta.dirname, '../models')
const SIDE = 32
/** Few and small steps: this is about the round, not about what is learnt. */
const HOST_OPTIONS = ['--model', 'emoji-dit', '--steps', '2', '--batch', '2', '--publish-every', '2']
const CAPTIONS = ['red apple', 'dog face']
/** Typed by a person in the grid. */
const TYPED = 'a lantern that grandmother painted'
const SOON = { timeout: 60_000, interval: 100 }

const read = (name: string) => new Uint8Array(fs.readFileSync(path.join(MODELS, name)))
const sheetOf = (title: string) => pictureSheets.find((sheet) => sheet.title === title)!
const samples = (title: string) =>
  samplePictures(read(`catalog/pictures/${sheetOf(title).file}`), sheetOf(title))

const smileys = () => samples('Smileys').slice(0, 6)

/** A png whose header says 30,000 x 30,000 pixels, 2.7 GB if it were believed. */
function hugePng(): Uint8Array {
  const png = writePng(new Uint8Array(3), 1, 1)
  const view = new DataView(png.buffer, png.byteOffset)
  // After the signature: the header's length, its type, width, height, five bytes more, and their checksum.
  view.setUint32(16, 30_000)
  view.setUint32(20, 30_000)
  view.setUint32(29, crc32(png.subarray(12, 29)))
  return png
}

/**
 * A person's own files: every kind that is read, one that is turned, one that is broken, one of impossible size and one without
 * words.
 */
const ownFiles: readonly (readonly [name: string, content: Uint8Array])[] = [
  ...samples('Food')
    .slice(0, 6)
    .map(({ name, pixels }) => [`${name}.png`, writePng(pixels, SIDE, SIDE)] as const),
  ['drawing of nothing.webp', read('pictures/fixtures/lossy-alpha.webp')],
  ['IMG_0815.jpg', read('pictures/fixtures/turned-6.jpg')],
  ['IMG_0815.txt', new TextEncoder().encode('a circle beside a blue box\n')],
  ['half a flower.png', read('pictures/fixtures/rgb.png').subarray(0, 400)],
  ['DSC0001.png', read('pictures/fixtures/grey.png')],
  ['a huge wall.png', hugePng()],
]

class Participant {
  readonly gate: WireGate
  readonly tab: Tab
  private constructor(gate: WireGate, tab: Tab) {
    this.gate = gate
    this.tab = tab
  }

  static async open(browser: Browser, relay: RelayProcess, backend: string): Promise<Participant> {
    const gate = await WireGate.open(relay.answer.url)
    const tab = await Tab.open(browser, `${gate.origin}/join/${relay.answer.room}?backend=${backend}`)
    await tab.page.locator('[data-testid=device][data-backend]').waitFor({ timeout: 60_000 })
    await pictureEveryWay(tab.page, 'pictures-join')
    await tab.join()
    return new Participant(gate, tab)
  }
}

let folder: string
let browser: Browser
let relay: RelayProcess
let first: Participant
let second: Participant
const problems: string[] = []

/** axe in light and dark, and a phone's width. */
async function look(page: Page, name: string): Promise<void> {
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme })
    await settled(page)
    for (const finding of await findings(page)) problems.push(`${name} (${scheme}) ${finding}`)
  }
  await page.emulateMedia({ colorScheme: 'light' })
  const before = page.viewportSize()
  await page.setViewportSize({ width: 360, height: 740 })
  await settled(page)
  const out = await overflowing(page)
  if (out.length > 0) problems.push(`${name} is wider than 360 px: ${out.join(', ')}`)
  if (before) await page.setViewportSize(before)
  await pictureEveryWay(page, name)
}

/** RGB of the canvases, as the page has drawn them. */
const drawn = (page: Page, selector: string): Promise<number[][]> =>
  page.locator(selector).evaluateAll((canvases) =>
    canvases.map((canvas) => {
      const { width, height } = canvas as HTMLCanvasElement
      const { data } = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height)
      return Array.from(data).filter((_, i) => i % 4 !== 3)
    }),
  )

const readHere = () =>
  readPictures(
    ownFiles.map(([name, bytes]) => ({ name, bytes: bytes.length, read: async () => bytes })),
    { side: SIDE, webp: nodeWebpModule },
  )

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-pictures-'))
  relay = await RelayProcess.start({ dataDir: path.join(folder, 'relay'), args: HOST_OPTIONS })
  browser = await launchChromium()
})

afterAll(async () => {
  await browser?.close()
  await relay?.stop()
  for (const participant of [first, second]) await participant?.gate.close()
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

describe('a round of pictures', () => {
  it('shows what will be trained on, to the bit what Node reads, and says what is not and why', async () => {
    first = await Participant.open(browser, relay, 'webgpu')
    const { tab } = first
    await tab.addFiles(
      ...ownFiles.map(([name, bytes]) => ({ name, mimeType: '', buffer: Buffer.from(bytes) })),
    )
    await tab.at('data-picture').first().waitFor()
    const { pictures, skipped } = await readHere()
    expect(skipped.map(({ name }) => name)).toEqual(['DSC0001.png', 'a huge wall.png', 'half a flower.png'])
    expect(await tab.at('data-picture').count()).toBe(pictures.length)
    const shown = await drawn(tab.page, '[data-testid=data-picture] canvas')
    expect(shown).toEqual(pictures.map(({ pixels }) => Array.from(pixels)))
    const labels = await tab.page
      .locator('[data-testid=data-picture] canvas')
      .evaluateAll((found) => found.map((canvas) => canvas.getAttribute('aria-label')))
    expect(labels).toEqual(pictures.map(({ caption }) => caption))
    expect(labels).toContain('a circle beside a blue box')
    await tab.at('data-skipped').locator('summary').click()
    const reasons = await tab.at('data-skipped').textContent()
    expect(reasons).toMatch(/half a flower\.png: it is broken/)
    expect(reasons).toMatch(/DSC0001\.png: nothing says what it shows/)
    expect(reasons).toMatch(/a huge wall\.png: it has 30000 x 30000 pixels/)
    await look(tab.page, 'pictures-data')
  })

  it('takes other words to a picture, and has them after a reload', async () => {
    const { tab } = first
    await tab.at('captions-edit').click()
    const field = tab.at('caption-field').first()
    await field.fill('given up')
    await field.press('Escape')
    expect(await field.inputValue()).not.toBe('given up')
    await field.fill(`  ${TYPED}\n`)
    await field.press('Enter')
    const label = () =>
      tab.page.locator('[data-testid=data-picture] canvas').first().getAttribute('aria-label')
    await expect.poll(label, SOON).toBe(TYPED)
    expect(await tab.at('data-examples').textContent()).not.toBe('0')
    await look(tab.page, 'pictures-captions')
    await tab.page.reload()
    await expect.poll(label, SOON).toBe(TYPED)
  })

  it('trains on the plan, and sends one update', async () => {
    const { tab } = first
    await tab.train()
    const { backend, executor, tfjsOps, steps } = await tab.diagnostics()
    expect({ backend, executor, tfjsOps, steps }).toEqual({
      backend: 'webgpu',
      executor: 'plan',
      tfjsOps: 0,
      steps: 2,
    })
    await tab.send()
  })

  it('takes the samples of another kind, with their credit, from another tab', async () => {
    second = await Participant.open(browser, relay, 'wasm')
    const { tab } = second
    await tab.at('tab-sample').click()
    expect(await tab.at('picture-credit').textContent()).toMatch(/Twemoji by Twitter, Inc .*CC-BY 4\.0/)
    await look(tab.page, 'pictures-samples')
    await tab.at('data-sample-twemoji-smileys').click()
    await tab.at('data-picture').first().waitFor()
    expect(await tab.at('data-documents').textContent()).toBe('32')
    // A few of them only, or measuring on a busy machine takes its time.
    await tab.at('data-remove').click()
    await tab.at('tab-files').click()
    await tab.addFiles(
      ...smileys().map(({ name, pixels }) => ({
        name: `${name}.png`,
        mimeType: 'image/png',
        buffer: Buffer.from(writePng(pixels, SIDE, SIDE)),
      })),
    )
    await tab.page.waitForFunction(
      () => document.querySelector('[data-testid=data-documents]')?.textContent === '6',
    )
    await tab.at('data-continue').click()
    await tab.at('preview-caption').fill('red apple')
    await tab.at('preview-draw').click()
    await tab.at('preview').waitFor({ timeout: 60_000 })
    await look(tab.page, 'pictures-ready')
    await tab.at('train-start').click()
    await tab.at('review-digest').waitFor({ timeout: 150_000 })
    await tab.page.waitForFunction(() =>
      /^[0-9a-f]{64}$/.test(document.querySelector('[data-testid=review-digest]')?.textContent ?? ''),
    )
    await pictureEveryWay(tab.page, 'pictures-review')
    await tab.send()
    await pictureEveryWay(tab.page, 'pictures-sent')
  })

  it('shows base, own and merged from the same noise, and hands them out as one PNG', async () => {
    const { tab } = second
    await tab.at('result-open').click()
    await tab.at('result-merged-loss').waitFor({ timeout: 60_000 })
    await tab.at('captions').fill(CAPTIONS.join('\n'))
    await tab.at('draw-steps').fill('3')
    await tab.at('draw').click()
    await tab.page.waitForSelector('[data-testid=drawn-merged][data-drawn=true]', { timeout: 60_000 })
    const [base, own, merged] = await Promise.all(
      ['base', 'own', 'merged'].map((which) => drawn(tab.page, `canvas[data-testid=picture-${which}]`)),
    )
    expect([base.length, own.length, merged.length]).toEqual([2, 2, 2])
    // Of another adapter, so other pictures; and of the same noise, so not by much after two steps of training.
    expect(own).not.toEqual(base)
    expect(merged).not.toEqual(own)
    const distance = (a: number[], b: number[]) =>
      a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0) / a.length
    expect(distance(base[0], merged[0])).toBeLessThan(distance(base[0], base[1]))
    await look(tab.page, 'pictures-result')

    const [download] = await Promise.all([tab.page.waitForEvent('download'), tab.at('drawings-save').click()])
    const png = decode(fs.readFileSync(await download.path()))
    expect(download.suggestedFilename()).toMatch(/-pictures\.png$/)
    const enlarge = 8
    const cell = SIDE * enlarge
    expect(png.width).toBe(3 * cell + 2 * 4)
    expect(png.height).toBe(2 * cell + 4)
    // The middle of the merged picture's first pixel in the second row.
    const at = 3 * ((cell + 4 + enlarge / 2) * png.width + 2 * (cell + 4) + enlarge / 2)
    expect(Array.from(png.data.subarray(at, at + 3))).toEqual(merged[1].slice(0, 3))
  })

  it('looks well to everybody, and logs no error', () => {
    expect(problems).toEqual([])
    expect([...first.tab.errors, ...second.tab.errors]).toEqual([])
  })

  it('has sent no picture, no row of its pixels and no caption', async () => {
    const { pictures } = await readHere()
    const own: PictureSecret[] = pictures.map((one) => ({
      ...one,
      file: ownFiles.find(([name]) => name === one.name)![1],
    }))
    own.push({ ...own[0], caption: TYPED })
    const sampled = smileys().map((one) => ({ ...one, file: writePng(one.pixels, SIDE, SIDE) }))
    const search = { first: new PictureLeakSearch(own), second: new PictureLeakSearch(sampled) }
    // What was sent is what is searched: the updates are in it, and a row planted in it is found.
    const updates = first.gate.sent.filter(({ length }) => length > 10_000)
    expect(updates.length).toBeGreaterThan(0)
    const planted = Buffer.concat([updates[0], Buffer.from(own[0].pixels.subarray(0, 3 * SIDE * 20))])
    expect(search.first.find([planted])).not.toEqual([])
    expect(search.first.find(first.gate.sent)).toEqual([])
    expect(search.second.find(second.gate.sent)).toEqual([])
  })
})
