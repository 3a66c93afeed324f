/** A thread that makes one start file and ends: the decomposition of every layer would keep a relay from answering. */
import { parentPort, workerData } from 'node:worker_threads'
import type { AdapterShape } from '../../models/adapters/adapter.ts'
import type { BaseModel } from './base-model.ts'
import { Console } from './console.ts'
import { ensureStart } from './start-file.ts'

export interface StartJob {
  readonly dataDir: string
  readonly model: BaseModel
  readonly digest: string
  readonly shape: AdapterShape
}

const silent = { write: () => undefined }
const { dataDir, model, digest, shape } = workerData as StartJob
await ensureStart(dataDir, model, digest, shape, new Console(true, silent, silent))
parentPort?.postMessage('made')
