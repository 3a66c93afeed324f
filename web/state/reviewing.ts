/** The update, packed for review: the bytes that are shown are the bytes that are sent. */
import { move } from './machine.ts'
import { PageError, toProblem } from './problems.ts'
import { leaveRelay } from './relay.ts'
import { saveFile } from './save-file.ts'
import { forgetThisSession, keepSession, sessionKey } from './session.ts'
import {
  clipNorm,
  forgotten,
  includeExamples,
  manifest,
  manifestDigest,
  origin,
  problem,
  resetRound,
  update,
} from './store.ts'
import { inWorker, isDeviceProblem } from './worker-client.ts'

let packedBytes: Uint8Array | null = null
/** Counts the packings: ticking a box twice quickly must not leave the first one's bytes. */
let packings = 0

export async function packUpdate(): Promise<void> {
  const room = manifest.peek()
  if (!room) return
  packings += 1
  const mine = packings
  update.value = null
  packedBytes = null
  try {
    const packed = await inWorker((api) =>
      api.packUpdate(
        room,
        manifestDigest.peek(),
        sessionKey(),
        {
          includeExamples: includeExamples.peek(),
          clipNorm: clipNorm.peek(),
        },
        origin.peek()?.version?.digest ?? null,
      ),
    )
    if (mine !== packings) return
    packedBytes = packed.bytes
    const { bytes, ...summary } = packed
    update.value = { ...summary, updateBytes: bytes.length }
  } catch (error) {
    const found = toProblem(error)
    if (mine === packings && !isDeviceProblem(found)) problem.value = found
  }
}

export function reviewedBytes(): Uint8Array {
  if (!packedBytes)
    throw new PageError('page/not-packed', 'The update is not packed yet; wait a moment and try again.')
  return packedBytes
}

export async function setIncludeExamples(include: boolean): Promise<void> {
  includeExamples.value = include
  keepSession()
  await packUpdate()
}

export async function setClip(norm: number | null): Promise<void> {
  clipNorm.value = norm
  keepSession()
  await packUpdate()
}

export function saveReviewedBytes(): void {
  const room = manifest.peek()
  if (room && packedBytes) saveFile(`${room.room}-update.safetensors`, packedBytes)
}

/** Leaves for good: nothing was sent, and nothing stays in this browser. */
export async function leaveRound(): Promise<void> {
  if (!move('reviewing', { at: 'left', erased: false })) return
  leaveRelay()
  packedBytes = null
  try {
    await forgetThisSession()
    resetRound()
    // Late writes of this session must not bring it back.
    forgotten.value = true
  } catch (error) {
    problem.value = toProblem(error)
  }
}
