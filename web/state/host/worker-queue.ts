/**
 * The host tab's one worker: measuring and rehearsing take turns in it. The model is the room's, loaded when it is
 * first needed.
 */
import { signal } from '@preact/signals'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import { prepareModel } from '../preparing.ts'
import { toProblem } from '../problems.ts'
import { manifest, problem } from '../store.ts'

let queue: Promise<void> = Promise.resolve()
let loadedModel = ''

/** While the device is opened or the model loaded. */
export const preparing = signal(false)

/** Runs `job` after those before it; its failure is shown and does not stop the next. */
export function inTurn(job: () => Promise<void>): Promise<void> {
  queue = queue.then(job).catch((error) => {
    problem.value = toProblem(error)
  })
  return queue
}

/** Within a turn. Throws PageError, DeviceError. */
export async function prepareFor(room: Manifest): Promise<void> {
  const wanted = `${room.base.digest} ${room.adapter.start?.sha256 ?? ''}`
  if (loadedModel === wanted) return
  preparing.value = true
  try {
    manifest.value = room
    loadedModel = ''
    await prepareModel('measure')
    loadedModel = wanted
  } finally {
    preparing.value = false
  }
}
