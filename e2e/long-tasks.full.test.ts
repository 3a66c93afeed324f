/**
 * How much training blocks the page: tasks over 50 ms on the page's own thread, while a tab trains and while the same
 * tab is idle, in one run. A report, printed as JSON: a busy machine has long tasks of its own.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { RelayProcess } from './support/relay-process.ts'
import { launchChromium, Tab } from './support/tab.ts'

const WATCH_MS = 8000

/** Sum and longest of the tasks over 50 ms within the next `ms`. */
const longTasks = (tab: Tab, ms: number) =>
  tab.page.evaluate(async (wait) => {
    const found: number[] = []
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) found.push(duration)
    })
    observer.observe({ entryTypes: ['longtask'] })
    await new Promise((resolve) => setTimeout(resolve, wait))
    observer.disconnect()
    const total = found.reduce((sum, duration) => sum + duration, 0)
    return { tasks: found.length, totalMs: Math.round(total), longestMs: Math.round(Math.max(0, ...found)) }
  }, ms)

it('reports the long tasks of a page that trains beside those of the same page at rest', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-long-'))
  const relay = await RelayProcess.start({
    dataDir: folder,
    args: ['--steps', '2000', '--batch', '1', '--length', '64'],
  })
  const browser = await launchChromium()
  const tab = await Tab.open(browser, `${relay.answer.joinUrl}?backend=wasm`)
  try {
    await tab.join()
    const text = 'The night train stops in our village only when somebody waves a lamp at it. '.repeat(60)
    await tab.addFiles({ name: 'train.txt', mimeType: 'text/plain', buffer: Buffer.from(text) })
    await tab.at('data-continue').click()
    await tab.at('train-start').waitFor()
    const idle = await longTasks(tab, WATCH_MS)
    await tab.at('train-start').click()
    await expect
      .poll(async () => Number(await tab.at('train-step').textContent()), { timeout: 120_000 })
      .toBeGreaterThan(1)
    const before = Number(await tab.at('train-step').textContent())
    const training = await longTasks(tab, WATCH_MS)
    const steps = Number(await tab.at('train-step').textContent()) - before
    console.log(JSON.stringify({ watchedMs: WATCH_MS, idle, training, steps }))
    expect(steps).toBeGreaterThan(0)
    // The observer sees what there is: one planted task of 150 ms.
    const watching = longTasks(tab, 1000)
    // In a task of the page's own: what the debugger runs is none.
    await tab.page.evaluate(() => {
      setTimeout(() => {
        const end = performance.now() + 150
        while (performance.now() < end);
      }, 50)
    })
    expect((await watching).longestMs).toBeGreaterThan(50)
  } finally {
    await browser.close()
    await relay.stop()
    fs.rmSync(folder, { recursive: true, force: true })
  }
})
