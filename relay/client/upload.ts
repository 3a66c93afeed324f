/**
 * Sends one update in acknowledged chunks and survives what networks do: after a drop, a lost answer or a restarted
 * relay it begins again, and the relay says at which byte to continue, or that it has the update already.
 */
import { ProtocolError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Receipt } from '../protocol/messages.ts'
import type { Connection } from './connection.ts'
import type { PackedUpdate } from './states.ts'

export interface UploadOptions {
  readonly connection: Connection
  readonly manifest: Manifest
  readonly update: PackedUpdate
  /** Without any progress for this long the upload is given up; it can be tried again later. */
  readonly giveUpAfterMs: number
  readonly onProgress: (sentBytes: number) => void
  readonly signal?: AbortSignal
}

/** What passes by itself or by beginning again. */
const PASSING = new Set<string>([
  'network/unreachable',
  'protocol/timeout',
  'protocol/busy',
  'protocol/not-joined',
  'upload/offset',
  'upload/incomplete',
  'upload/not-begun',
  'upload/too-many',
  'relay/stopping',
])

/** Waits between attempts that made no progress: doubling, so that a full relay is not hammered. */
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5000

/** Throws ProtocolError: `client/aborted`, or the code for which the relay refuses or cannot be reached. */
export async function uploadUpdate(options: UploadOptions): Promise<Receipt> {
  const { giveUpAfterMs, signal } = options
  let lastProgressMs = Date.now()
  let furthestBytes = -1
  let waitMs = FIRST_WAIT_MS
  let damagedOnce = false
  const onProgress = (sentBytes: number) => {
    if (sentBytes > furthestBytes) {
      furthestBytes = sentBytes
      lastProgressMs = Date.now()
      waitMs = FIRST_WAIT_MS
    }
    options.onProgress(sentBytes)
  }
  for (;;) {
    signal?.throwIfAborted()
    try {
      const timeLeftMs = lastProgressMs + giveUpAfterMs - Date.now()
      await options.connection.online(Math.max(1, timeLeftMs))
      return await attempt({ ...options, onProgress })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      // Bytes can be lost to a power cut on the relay's side; twice the same is no accident.
      const isDamaged: boolean = error.code === 'upload/digest' && !damagedOnce
      damagedOnce ||= isDamaged
      if (!isDamaged && !PASSING.has(error.code)) throw error
      if (Date.now() - lastProgressMs + waitMs > giveUpAfterMs) throw error
    }
    await wait(waitMs, signal)
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)
  }
}

async function attempt({
  connection,
  manifest,
  update,
  onProgress,
  signal,
}: UploadOptions): Promise<Receipt> {
  const { bytes, digest } = update
  const begun = await connection.request('begin', { digest, bytes: bytes.byteLength })
  let offset = begun.offset
  onProgress(offset)
  if (begun.receipt) return begun.receipt
  while (offset < bytes.byteLength) {
    signal?.throwIfAborted()
    const data = bytes.slice(offset, offset + manifest.limits.chunkBytes)
    const answer = await connection.request('chunk', { offset, data })
    if (answer.offset !== offset + data.byteLength) throw new ProtocolError('protocol/malformed')
    offset = answer.offset
    onProgress(offset)
  }
  const { receipt } = await connection.request('commit', { digest })
  return receipt
}

function wait(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, milliseconds)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
