/**
 * Holds one backend's engine in a worker, as the product does, and runs the fixtures' cases on it. It measures
 * only; what distance is near enough, and which device should have run it, the test says.
 */
import { expose } from 'comlink'
import { createBrowserEngine } from '../../../models/backend/browser.ts'
import type { BackendName, Engine, ExecutorName } from '../../../models/backend/engine.ts'
import { ModelsError } from '../../../models/errors.ts'
import type { Comparison } from '../../../models/testing/comparison.ts'
import { openFixture } from '../../../models/testing/fixture-cases.ts'
import { type FixtureModel, FixtureSet } from '../../../models/testing/fixture-set.ts'
import { countDispatches, type DispatchCount } from '../../../web/worker/dispatch-count.ts'

export interface OpenedEngine {
  readonly backend: BackendName
  readonly executor: ExecutorName
  readonly device: string
  readonly software: boolean
  /** Without it there are no wasm threads. */
  readonly crossOriginIsolated: boolean
}

export interface ModelReport {
  /** By the case's title. */
  readonly comparisons: Readonly<Record<string, readonly Comparison[]>>
  /** What this model's cases alone had the device do. */
  readonly planDispatches: number
  readonly tfjsOps: number
  readonly seconds: number
}

export interface EngineWorker {
  /** The engine, or why the backend refuses to start here. */
  open(backend: BackendName): Promise<OpenedEngine | { readonly refused: string; readonly code: string }>
  /** From now on WebGL is what it is on chips that compute with 16-bit numbers only. */
  halveWebGl(): Promise<void>
  /** @param paths of every file to fetch, from models/ */
  compare(model: FixtureModel, paths: readonly string[]): Promise<ModelReport>
}

let engine: Engine | null = null
let dispatches: DispatchCount | null = null

async function fetchFixtures(paths: readonly string[]): Promise<FixtureSet> {
  const files = new Map<string, Uint8Array>()
  await Promise.all(
    paths.map(async (path) => {
      const response = await fetch(`/models/${path}`)
      if (!response.ok) throw new Error(`${path}: ${response.status}`)
      files.set(path, new Uint8Array(await response.arrayBuffer()))
    }),
  )
  return new FixtureSet((path) => files.get(path))
}

expose({
  async open(backend) {
    try {
      engine = await createBrowserEngine({ backend, wasmPath: '/wasm/' })
    } catch (error) {
      if (error instanceof ModelsError) return { refused: error.message, code: error.code }
      throw error
    }
    dispatches = countDispatches(engine)
    const { executor, device, software } = engine
    return { backend: engine.backend, executor, device, software, crossOriginIsolated }
  },

  async halveWebGl() {
    const { prototype } = WebGL2RenderingContext
    const getExtension: (this: WebGL2RenderingContext, name: string) => unknown = prototype.getExtension
    Object.defineProperty(prototype, 'getExtension', {
      value(this: WebGL2RenderingContext, name: string) {
        return name === 'EXT_color_buffer_float' ? null : getExtension.call(this, name)
      },
    })
  },

  async compare(model, paths) {
    if (!engine || !dispatches) throw new Error('no engine is open')
    const fixtures = await fetchFixtures(paths)
    const before = { dispatches: dispatches.total(), tfjsOps: engine.tfjsOps() }
    const started = performance.now()
    const opened = openFixture(engine, fixtures, model)
    const comparisons: Record<string, Comparison[]> = {}
    for (const [title, run] of Object.entries(opened.cases)) comparisons[title] = await run()
    opened.dispose()
    return {
      comparisons,
      planDispatches: dispatches.total() - before.dispatches,
      tfjsOps: engine.tfjsOps() - before.tfjsOps,
      seconds: (performance.now() - started) / 1000,
    }
  },
} satisfies EngineWorker)
