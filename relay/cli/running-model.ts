/**
 * A model on an engine, for commands that run one. Everything that needs tfjs or WebGPU is loaded here, when it
 * is asked for, so that the other commands start without it.
 */
import type { Adapter } from '../../models/adapters/adapter.ts'
import type { BackendName, Engine } from '../../models/backend/engine.ts'
import type { LoadedModel } from '../../models/catalog/load.ts'
import type { Arguments } from './args.ts'
import { type BaseModel, withSources } from './base-model.ts'
import type { Console } from './console.ts'

export interface RunningModel extends LoadedModel {
  readonly engine: Engine
  close(): Promise<void>
}

const BACKENDS: readonly BackendName[] = ['webgpu', 'wasm', 'webgl', 'cpu']

export const backendOf = (args: Arguments): BackendName | 'auto' => args.choice('backend', BACKENDS) ?? 'auto'

/** A model on this machine's disk, its weights read one after another. The caller closes it. */
export function runModel(
  base: BaseModel,
  backend: BackendName | 'auto',
  console: Console,
): Promise<RunningModel> {
  return run(backend, console, async (engine) => {
    const { streamModel } = await import('../../models/catalog/load.ts')
    return withSources(base, (sources) => streamModel(engine, sources))
  })
}

/** A model whose files are in memory, as downloaded. The caller closes it. */
export function runModelFiles(
  files: ReadonlyMap<string, Uint8Array>,
  backend: BackendName | 'auto',
  console: Console,
): Promise<RunningModel> {
  return run(backend, console, async (engine) => {
    const { loadModel } = await import('../../models/catalog/load.ts')
    return loadModel(engine, files)
  })
}

/** Throws DeviceError, FormatError. */
async function run(
  backend: BackendName | 'auto',
  console: Console,
  load: (engine: Engine) => Promise<LoadedModel>,
): Promise<RunningModel> {
  const { createNodeEngine } = await import('../../models/backend/node.ts')
  const engine = await createNodeEngine({ backend })
  console.note(`Running on ${engine.device}, ${engine.backend}: ${engine.chosenBecause}.`)
  try {
    const loaded = await load(engine)
    return {
      engine,
      model: loaded.model,
      tokenizer: loaded.tokenizer,
      dispose: () => loaded.dispose(),
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
