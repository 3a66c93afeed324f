/** The device is measured while the person reads the invitation; the model comes once they join. */
import type { ModelProgress, ModelRequest, Purpose } from '../worker/api.ts'
import { toProblem } from './problems.ts'
import {
  address,
  device,
  deviceProblem,
  loadedVersion,
  manifest,
  modelProgress,
  modelReport,
} from './store.ts'
import { recordWire } from './wire.ts'
import { callback, inWorker, loseDevice, stopWorker } from './worker-client.ts'

let opening: Promise<void> | null = null

/** Opens the device once; a failure is shown and may be tried again. */
export function openDevice(): Promise<void> {
  opening ??= measureDevice().catch((error) => {
    opening = null
    deviceProblem.value = toProblem(error)
    throw error
  })
  return opening
}

async function measureDevice(): Promise<void> {
  deviceProblem.value = null
  const onLost = callback((message: string) => loseDevice({ code: 'device/lost', message }))
  device.value = await inWorker((api) => api.openDevice(address.peek().backend, onLost))
}

/** Device and base model, ready to run. */
export async function prepareModel(purpose: Purpose = 'train'): Promise<void> {
  const room = manifest.peek()
  if (!room) throw new Error('no room is open')
  modelProgress.value = null
  await openDevice()
  const onProgress = callback((progress: ModelProgress) => {
    modelProgress.value = progress
  })
  const onRequest = callback(({ path, bytes }: ModelRequest) =>
    recordWire({ direction: 'in', event: `GET ${path}`, bytes, payload: null }),
  )
  modelReport.value = await inWorker((api) => api.loadModel(room, purpose, onProgress, onRequest))
}

/** After a lost device: the next call opens another. */
export function closeDevice(): void {
  stopWorker()
  opening = null
  device.value = null
  // Its worker held it.
  loadedVersion.value = null
}
