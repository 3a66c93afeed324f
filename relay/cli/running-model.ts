/**
 * A model on an engine, for commands that run one. Everything that needs tfjs or WebGPU is loaded here, when it
 * is asked for, so that the other commands start without it.
 */
import type { Adapter } from '../../models/adapters/adapter.ts'
import type { BackendName, Engine } from '../../models/backend/engine.ts'
import type { ModelSources } from '../../models/catalog/model-files.ts'
import type { Work } from '../../models/catalog/planner.ts'
import type { LoadedModel } from '../../models/families/family.ts'
import { wholeFile } from '../../models/formats/byte-source.ts'
import type { Arguments } from './args.ts'
import { type BaseModel, withSources } from './base-model.ts'
import type { Console } from './console.ts'

export type RunningModel = LoadedModel & {
  readonly engine: Engine
  /** Windows of a batch that there is room for at once. */
  readonly windows: number
  close(): Promise<void>
}

const BACKENDS: readonly BackendName[] = ['webgpu', 'wasm', 'webgl', 'cpu']

export const backendOf = (args: Arguments): BackendName | 'auto' => args.choice('backend', BACKENDS) ?? 'auto'

/**
 * A model on this machine's disk, its weights read one after another. The caller closes it. `work` is what is to be
 * done with it: refused before anything is loaded where the device has no room for it. Throws as `checkRoom` does.
 */
export function runModel(
  base: BaseModel,
  backend: BackendName | 'auto',
  console: Console,
  work: Work,
): Promise<RunningModel> {
  return run(backend, console, async (engine) => {
    const { streamModel } = await import('../../models/catalog/load.ts')
    return withSources(base, async (sources) => {
      const windows = await windowsFor(sources, work, engine)
      return { loaded: await streamModel(engine, sources), windows }
    })
  })
}

/**
 * A model to be downloaded: a large one is refused before that where the device has no room for it. The caller closes
 * it. Throws as `checkRoom`, and what `download` throws.
 */
export function runModelOf(
  { ahead, download }: Remote,
  backend: BackendName | 'auto',
  console: Console,
  work: Work,
): Promise<RunningModel> {
  return run(backend, console, async (engine) => {
    const { loadModel } = await import('../../models/catalog/load.ts')
    const seen = ahead ? await windowsFor(ahead, work, engine) : null
    const files = await download()
    const sources = new Map([...files].map(([name, bytes]) => [name, wholeFile(bytes)]))
    return { loaded: loadModel(engine, files), windows: seen ?? (await windowsFor(sources, work, engine)) }
  })
}

interface Remote {
  /** To look into before anything is downloaded; null where the whole is had as quickly. */
  readonly ahead: ModelSources | null
  download(): Promise<ReadonlyMap<string, Uint8Array>>
}

async function windowsFor(sources: ModelSources, work: Work, engine: Engine): Promise<number> {
  const { readModelOutline } = await import('../../models/catalog/model-files.ts')
  const { checkRoom } = await import('../../models/catalog/planner.ts')
  return checkRoom(await readModelOutline(sources), work, engine)
}

/** Throws DeviceError, FormatError. */
async function run(
  backend: BackendName | 'auto',
  console: Console,
  load: (engine: Engine) => Promise<{ loaded: LoadedModel; windows: number }>,
): Promise<RunningModel> {
  const { createNodeEngine } = await import('../../models/backend/node.ts')
  const engine = await createNodeEngine({ backend })
  const halves = engine.float16.length > 0 ? ` (float16: ${engine.float16.join(', ')})` : ''
  console.note(`Running on ${engine.device}, ${engine.backend}${halves}: ${engine.chosenBecause}.`)
  try {
    const { loaded, windows } = await load(engine)
    return {
      ...loaded,
      engine,
      windows,
      async close() {
        loaded.dispose()
        await engine.dispose()
      },
    }
  } catch (error) {
    await engine.dispose()
    throw error
  }
}

/** Refuses an adapter of another base before anything runs. Throws MismatchError. */
export async function checkFits({ model }: RunningModel, adapter: Adapter): Promise<void> {
  const { checkAdapterFits } = await import('../../models/training/engine-adapter.ts')
  checkAdapterFits(model, adapter)
}
