/**
 * A student's choices on the way through a round: clipping, keeping the adapter to oneself and sending it after
 * all, downloads, and a shared computer left clean.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { Download } from 'playwright'
import { describe, expect, it } from 'vitest'
import { wholeFile } from '../models/formats/byte-source.ts'
import { readGgufHeader } from '../models/formats/gguf.ts'
import type { Overview } from '../relay/protocol/host.ts'
import { RelayAndBrowser } from './support/relay-and-browser.ts'
import { RelayProcess } from './support/relay-process.ts'
import type { Tab } from './support/tab.ts'

const HOST_OPTIONS = ['--steps', '4', '--batch', '1', '--length', '48', '--publish-every', '1']

const both = RelayAndBrowser.forThisFile(HOST_OPTIONS)

async function download(tab: Tab, testId: string): Promise<{ download: Download; bytes: Buffer }> {
  const [started] = await Promise.all([tab.page.waitForEvent('download'), tab.at(testId).click()])
  return { download: started, bytes: fs.readFileSync(await started.path()) }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Writes pairs by hand, the classroom's way, and trains on them. */
async function writeAndTrain(tab: Tab): Promise<void> {
  await tab.at('tab-write').click()
  for (let index = 0; index < 4; index += 1) {
    if ((await tab.at('pair').count()) <= index) await tab.at('pair-add').click()
    await tab
      .at('pair-question')
      .nth(index)
      .fill(`What is at number ${index + 1} in our street?`)
    await tab
      .at('pair-answer')
      .nth(index)
      .fill(`At number ${index + 1} lives the baker's cousin.`)
  }
  await expect.poll(() => tab.at('pair-count').textContent()).toMatch(/^4 of/)
  await expect.poll(() => tab.at('data-continue').isEnabled(), { timeout: 20_000 }).toBe(true)
  // What the model is asked to learn is the answer, up to its end.
  const counted = await tab.page.locator('[data-testid=data-excerpt] [data-counts=true]').allTextContents()
  expect(counted.join('')).toMatch(/^At number \d lives the baker's cousin\.<\|endoftext\|>$/)
  await tab.train()
}

describe('a student', () => {
  it('writes by hand, clips, keeps the adapter, sends it after all, takes files along and leaves nothing', async () => {
    const tab = await both.openTab()
    try {
      await tab.join()
      await writeAndTrain(tab)

      // A clipped change is another update, as long as asked.
      const whole = await tab.at('review-digest').textContent()
      await tab.at('review-clip').check()
      await expect.poll(() => tab.at('review-digest').textContent()).toMatch(/^[0-9a-f]{64}$/)
      await expect.poll(() => tab.at('review-norm').textContent()).toMatch(/clipped from/)
      expect(await tab.at('review-digest').textContent()).not.toBe(whole)
      await tab.at('review-clip-norm').fill('0.5')
      await tab.at('review-clip-norm').press('Tab')
      await expect.poll(() => tab.at('review-norm').textContent()).toMatch(/^0\.5, clipped from/)
      await expect.poll(() => tab.at('review-digest').textContent()).toMatch(/^[0-9a-f]{64}$/)
      const reviewed = await tab.at('review-digest').textContent()
      await tab.at('review-tensors').locator('summary').click()
      expect(sha256((await download(tab, 'review-save')).bytes)).toBe(reviewed)

      // Not sent: the result compares what is here, and the way back to sending is open, over a reload too.
      await tab.at('review-keep').click()
      await tab.at('result-own-loss').waitFor({ timeout: 60_000 })
      expect(await tab.at('merged-version').count()).toBe(0)
      expect((await tab.diagnostics()).bytesSent).toBeLessThan(2000)
      await tab.page.reload()
      await tab.at('result-own-loss').waitFor({ timeout: 60_000 })
      await tab.at('result-back').click()
      await tab.at('review-send').waitFor()
      await expect.poll(() => tab.at('review-digest').textContent(), { timeout: 20_000 }).toBe(reviewed)

      expect(await tab.send()).toBe(reviewed)
      await tab.at('result-open').click()
      await tab.at('result-merged-loss').waitFor({ timeout: 60_000 })

      const gguf = await download(tab, 'download-own-gguf')
      expect(gguf.download.suggestedFilename()).toMatch(/-own-adapter\.gguf$/)
      const header = await readGgufHeader(wholeFile(new Uint8Array(gguf.bytes)))
      expect(header.metadata.get('general.type')).toBe('adapter')
      const receipt = JSON.parse((await download(tab, 'download-receipt')).bytes.toString())
      expect(receipt).toMatchObject({ digest: reviewed, room: both.relay.answer.room, contribution: 1 })

      // Taken back: the version it was merged into is gone, the adapter is not, and the same update may be sent again.
      expect(await tab.at('merged-version').getAttribute('data-own')).toBe('true')
      await tab.at('withdraw').click()
      await tab.at('withdraw-confirm').click()
      await tab.at('result-back').waitFor({ timeout: 20_000 })
      await tab.at('version-retired').waitFor()
      expect(await tab.at('merged-version').count()).toBe(0)
      await tab.at('result-merged-pending').waitFor()
      expect(await status(both.relay)).toMatchObject({ contributions: 0 })
      await tab.page.reload()
      await tab.at('result-back').click({ timeout: 60_000 })
      await tab.at('review-send').waitFor()
      await expect.poll(() => tab.at('review-digest').textContent(), { timeout: 20_000 }).toBe(reviewed)
      expect(await tab.send()).toBe(reviewed)
      await expect.poll(() => stageAtHost(both.relay)).toEqual(['sent'])
      await tab.at('result-open').click()
      await tab.at('result-merged-loss').waitFor({ timeout: 60_000 })

      await tab.at('forget').click()
      await tab.at('forget-confirm').click()
      await tab.at('start-again').waitFor()
      expect(await kept(tab)).toEqual({ caches: [], databases: {}, session: 0 })
      expect(tab.errors).toEqual([])
    } finally {
      await tab.close()
    }
  })
})

describe('a room with a join code', () => {
  it('asks for the code where the link lacks it, and takes the right one', async () => {
    const args = [...HOST_OPTIONS, '--join-code', 'amber-falcon']
    const locked = await RelayProcess.start({ dataDir: path.join(both.folder, 'locked'), args })
    const address = new URL(locked.answer.joinUrl)
    expect(address.hash).toBe('#amber-falcon')
    address.hash = ''
    const tab = await both.openTab(`${address}?backend=wasm`)
    try {
      await tab.at('join-start').click()
      await tab.at('join-code').waitFor()
      await tab.at('join-code').fill(' amber-falcon ')
      await tab.join()
    } finally {
      await tab.close()
      await locked.stop()
    }
  })
})

const status = async ({ answer }: RelayProcess) =>
  (await fetch(new URL(`/api/rooms/${answer.room}/status`, answer.url))).json()

/** What the host's console is told of those who are connected. */
async function stageAtHost({ answer }: RelayProcess): Promise<string[]> {
  const response = await fetch(new URL(`/api/rooms/${answer.room}/overview`, answer.url), {
    headers: { authorization: `Bearer ${answer.hostToken}` },
  })
  const { participants } = (await response.json()) as Overview
  return participants.filter(({ connected }) => connected).map(({ progress }) => progress?.stage ?? '')
}

/** Everything this browser holds of the origin: cached files, and entries of databases that are not empty. */
const kept = (tab: Tab) =>
  tab.page.evaluate(async () => {
    const databases: Record<string, number> = {}
    for (const { name } of await indexedDB.databases()) {
      if (!name) continue
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const opening = indexedDB.open(name)
        opening.onsuccess = () => resolve(opening.result)
        opening.onerror = () => reject(opening.error)
      })
      for (const store of database.objectStoreNames) {
        const count = await new Promise<number>((resolve) => {
          const counting = database.transaction(store).objectStore(store).count()
          counting.onsuccess = () => resolve(counting.result)
        })
        if (count > 0) databases[`${name}/${store}`] = count
      }
      database.close()
    }
    return { caches: await caches.keys(), databases, session: sessionStorage.length }
  })
