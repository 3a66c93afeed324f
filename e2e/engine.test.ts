/**
 * The engine inside a real Chromium, on every backend a tab has, against PyTorch, transformers and PEFT: the cases
 * that Node's unit tests run, in a worker of a page with the relay's headers. WebGPU (SwiftShader) must run them
 * through recorded plans alone, wasm with its threads, WebGL and plain JavaScript through tfjs.
 */
import fs from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BackendName } from '../models/backend/engine.ts'
import type { Comparison } from '../models/testing/comparison.ts'
import { caseTitles } from '../models/testing/fixture-cases.ts'
import { type FixtureModel, fixtureFolders } from '../models/testing/fixture-set.ts'
import { MODELS_FOLDER } from '../models/testing/fixtures.ts'
import { expectHeld } from '../models/testing/tolerances.ts'
import { softwareWebGlFlags } from '../scripts/chromium.ts'
import { EnginePage } from './support/engine-page/serve.ts'
import type { ModelReport, OpenedEngine } from './support/engine-page/worker.ts'
import { launchChromium } from './support/tab.ts'

interface Expected {
  readonly backend: BackendName
  readonly executor: OpenedEngine['executor']
  /** @param cores what the browser says this machine has */
  device(cores: number): RegExp
  readonly software: boolean
  readonly models: readonly FixtureModel[]
}

const NANOS: readonly FixtureModel[] = ['nano', 'nano-untied', 'emoji-dit-nano']
const FULL = process.env.ONEROUND_FULL === '1'
/** The text-to-image model takes long in software; Node's tests have it on wasm in every run. */
const ALL: readonly FixtureModel[] = [...NANOS, 'tiny', ...(FULL ? (['emoji-dit'] as const) : [])]
/** Everything but wasm takes too long over the embedded models for every run; Node's tests have `tiny` on the plan. */
const LARGE_IF_FULL = FULL ? ALL : NANOS
/** WebGL in software takes long over the smallest as well, and plain JavaScript does in a tab what it does in Node. */
const ONE = FULL ? ALL : (['nano'] as const)

const BACKENDS: readonly Expected[] = [
  {
    backend: 'webgpu',
    executor: 'plan',
    device: () => /swiftshader.* \(WebGPU\)$/i,
    software: true,
    models: LARGE_IF_FULL,
  },
  {
    backend: 'wasm',
    executor: 'eager',
    device: (cores) => (cores > 2 ? /\(wasm, [2-4] threads\)$/ : /\(wasm, 1 thread\)$/),
    software: false,
    models: ALL,
  },
  {
    backend: 'webgl',
    executor: 'eager',
    device: () => /swiftshader.* \(WebGL\)$/i,
    software: true,
    models: ONE,
  },
  {
    backend: 'cpu',
    executor: 'eager',
    device: () => /\(plain JavaScript\)$/,
    software: false,
    models: ONE,
  },
]

let engines: EnginePage
let browser: Browser

beforeAll(async () => {
  engines = await EnginePage.open()
  browser = await launchChromium({ args: softwareWebGlFlags() })
})

afterAll(async () => {
  await browser?.close()
  await engines?.close()
})

function pathsOf(model: FixtureModel): string[] {
  return fixtureFolders(model).flatMap((folder) =>
    fs
      .readdirSync(path.join(MODELS_FOLDER, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(json|safetensors)$/.test(name))
      .map((name) => path.posix.join(folder, name.split(path.sep).join('/'))),
  )
}

/** The largest errors, one line a quantity. */
function summary(comparisons: readonly Comparison[]): string {
  const worst = new Map<string, number>()
  for (const { quantity, error } of comparisons) {
    worst.set(quantity, Math.max(worst.get(quantity) ?? 0, error))
  }
  return [...worst].map(([quantity, error]) => `${quantity} ${error.toExponential(1)}`).join(', ')
}

const hasWebGl2 = (page: Page) => page.evaluate(() => new OffscreenCanvas(1, 1).getContext('webgl2') !== null)

describe.each(BACKENDS)('$backend in Chromium', ({ backend, executor, device, software, models }) => {
  let page: Page
  let opened: OpenedEngine
  /** Why this Chromium cannot be asked at all. */
  let absent: string | null = null
  /** Rejects when the worker ends by itself: calls to it would then wait for ever. */
  let ended: Promise<never>

  beforeAll(async () => {
    page = await browser.newPage()
    ended = new Promise((_, reject) => page.on('pageerror', reject))
    ended.catch(() => {})
    await page.goto(engines.url)
    if (backend === 'webgl' && !(await hasWebGl2(page))) {
      absent = 'This Chromium has no WebGL 2 here, not even in software.'
      console.warn(`Skipped: the webgl backend. ${absent}`)
      return
    }
    const opening = page.evaluate((name) => window.engineWorker.open(name), backend)
    const answer = await Promise.race([opening, ended])
    if ('refused' in answer) throw new Error(answer.refused)
    opened = answer
  })

  beforeEach(({ skip }) => skip(absent !== null, absent ?? undefined))

  afterAll(async () => {
    await page?.close()
  })

  it('runs on the device, backend and executor it says', async () => {
    expect(opened).toMatchObject({ backend, executor, software, crossOriginIsolated: true })
    const cores = await page.evaluate(() => navigator.hardwareConcurrency)
    expect(opened.device).toMatch(device(cores))
    console.log(`${backend}: ${opened.device}, ${executor} executor`)
  })

  describe.each(models)('%s', (model) => {
    let report: ModelReport

    beforeAll(async () => {
      report = await page.evaluate(([name, paths]) => window.engineWorker.compare(name, paths), [
        model,
        pathsOf(model),
      ] as const)
      const { comparisons, seconds, planDispatches, tfjsOps } = report
      const counts = `${planDispatches} plan dispatches, ${tfjsOps} tfjs ops`
      console.log(`${backend}, ${model}: ${seconds.toFixed(1)} s, ${counts}`)
      console.log(`  furthest: ${summary(Object.values(comparisons).flat())}`)
    })

    it.each(caseTitles(model))('%s', (title) => {
      expectHeld(report.comparisons[title])
    })

    it('by that executor alone', () => {
      if (executor === 'plan') {
        expect(report.planDispatches).toBeGreaterThan(0)
        expect(report.tfjsOps).toBe(0)
      } else {
        expect(report.planDispatches).toBe(0)
        expect(report.tfjsOps).toBeGreaterThan(0)
      }
    })
  })
})

it('WebGL with 16-bit numbers only is refused by name', async ({ skip }) => {
  const page = await browser.newPage()
  try {
    await page.goto(engines.url)
    skip(!(await hasWebGl2(page)), 'This Chromium has no WebGL 2 here, not even in software.')
    const answer = await page.evaluate(async () => {
      await window.engineWorker.halveWebGl()
      return window.engineWorker.open('webgl')
    })
    expect(answer).toMatchObject({ code: 'device/webgl-half' })
  } finally {
    await page.close()
  }
})
