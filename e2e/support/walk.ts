/**
 * One person's way through every screen of the page, stopping at each: for tests that look at all of them
 * (accessibility, widths, pictures). Small and quick: wasm, a few short steps.
 */
import type { Page } from 'playwright'
import type { RelayProcess } from './relay-process.ts'
import type { Tab } from './tab.ts'

export const WALK_HOST_OPTIONS = ['--steps', '30', '--batch', '2', '--length', '64', '--publish-every', '1']

const PARAGRAPH =
  'The lighthouse keeper wrote the weather into his book every evening, and nobody had ever asked to read it. '

const plain = (name: string, content: string) => ({
  name,
  mimeType: 'text/plain',
  buffer: Buffer.from(content),
})

/** A file of each kind that the page has words for: read, read in part, and refused. */
const FILES = [
  plain('keeper.txt', PARAGRAPH.repeat(30)),
  plain(
    'answers.jsonl',
    [
      JSON.stringify({ prompt: 'Who keeps the light?', completion: ' The keeper does, every night.' }),
      '{"prompt": "unfinished',
      JSON.stringify({ prompt: 'And by day?', completion: '' }),
    ].join('\n'),
  ),
  plain('photo.txt', 'PNG\0\0\0'),
]

export type Visit = (screen: string, page: Page) => Promise<void>

/** Calls `visit` on every screen in the order of a round; the tab ends at the result. */
export async function walkThrough(tab: Tab, relay: RelayProcess, visit: Visit): Promise<void> {
  const { page } = tab
  await page.goto(`${relay.answer.url}/join/no-such-room`)
  await tab.at('error').waitFor()
  await visit('no-such-room', page)

  await page.goto(`${relay.answer.joinUrl}?backend=wasm`)
  await page.locator('[data-testid=device][data-backend]').waitFor({ timeout: 60_000 })
  await visit('join', page)
  await tab.join()
  await tab.at('model-report').waitFor()
  await visit('data-empty', page)
  await tab.at('tab-write').click()
  await tab.at('pair-question').first().fill('What is the big red building by the harbour?')
  await tab.at('pair-answer').first().fill('The old rope factory; today it is the library.')
  await tab.at('pair-question').nth(1).fill('When does the ferry leave?')
  await tab.at('data-preview').waitFor()
  await visit('data-write', page)
  await tab.at('tab-files').click()
  await tab.addFiles(...FILES)
  await tab.at('data-preview').waitFor()
  await tab.at('data-error').waitFor()
  await tab.at('data-skipped').locator('summary').click()
  await visit('data', page)

  await tab.at('wire-open').click()
  await tab.at('wire-entry').first().waitFor()
  await page.locator('[data-testid=wire-entry][data-event=join] summary').click()
  await visit('wire', page)
  await tab.at('wire-close').click()

  await tab.at('data-continue').click()
  await tab.at('train-start').waitFor()
  await tab.at('sample-write').click()
  await page.locator('[data-testid=sample-before][data-active=false]').waitFor()
  await tab.at('plan-time').getByText('About').waitFor()
  await visit('ready', page)
  await tab.at('train-start').click()
  await page.waitForFunction(
    () => Number(document.querySelector('[data-testid=train-step]')?.textContent) >= 6,
    undefined,
    { timeout: 60_000 },
  )
  await tab.at('train-pause').click()
  await tab.at('train-resume').waitFor()
  await tab.at('sample-write').click()
  await expectText(tab, 'sample-now')
  await visit('training', page)
  await tab.at('train-resume').click()
  await page.waitForFunction(
    () => /^[0-9a-f]{64}$/.test(document.querySelector('[data-testid=review-digest]')?.textContent ?? ''),
    undefined,
    { timeout: 60_000 },
  )
  await visit('review', page)
  await tab.send()
  await visit('sent', page)
  await tab.at('result-open').click()
  await tab.at('result-merged-loss').waitFor({ timeout: 60_000 })
  await tab.at('generate').click()
  await tab.at('generate').waitFor({ timeout: 60_000 })
  await visit('result', page)

  await page.goto(`${relay.answer.url}/round/${relay.answer.room}`)
  await tab.at('record-line').first().waitFor()
  await visit('what-happened', page)
}

async function expectText(tab: Tab, testId: string): Promise<void> {
  await tab.page.waitForFunction(
    (id) => {
      const element = document.querySelector(`[data-testid=${id}]`)
      return element?.getAttribute('data-active') === 'false' && element.childElementCount > 0
    },
    testId,
    { timeout: 30_000 },
  )
}
