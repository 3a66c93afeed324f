/**
 * Base, own and merged side by side: losses on the held-out text, writing from a prompt, downloads. The worker
 * does one of these at a time, in the order asked.
 */
import { effect, signal } from '@preact/signals'
import type { Version } from '../../relay/protocol/messages.ts'
import type { ExportFormat, Which } from '../worker/api.ts'
import { refreshCounters } from './counters.ts'
import { move, roundState } from './machine.ts'
import { measure } from './measuring.ts'
import { toProblem } from './problems.ts'
import { fetchVersion } from './relay.ts'
import { saveFile } from './save-file.ts'
import { keepSession } from './session.ts'
import {
  chosenVersion,
  latestVersion,
  loadedVersion,
  manifest,
  measured,
  problem,
  receipt,
  versions,
  writings,
  writtenPrompt,
} from './store.ts'
import { callback, inWorker, isDeviceProblem } from './worker-client.ts'

const WRITTEN_TOKENS = 64

let queue: Promise<void> = Promise.resolve()

/** Runs `job` after those before it; its failure is shown and does not stop the next. */
export function inTurn(job: () => Promise<void>): Promise<void> {
  queue = queue.then(job).catch((error) => {
    const found = toProblem(error)
    if (!isDeviceProblem(found)) problem.value = found
  })
  return queue
}

/** After sending, or instead of it. */
export function openResult(): void {
  if (!move(['sent', 'reviewing'], { at: 'result' })) return
  keepSession()
  measureResult()
}

/** What is at hand; the merged adapter is measured when it is loaded. */
export function measureResult(): void {
  void inTurn(() => measure('base'))
  void inTurn(() => measure('own'))
}

// A version that comes while the result is open is loaded and measured at once.
effect(() => {
  const version = chosenVersion.value ?? latestVersion.value
  if (roundState.value.at !== 'result' || version === null || loadedVersion.peek()?.digest === version.digest)
    return
  void inTurn(() => loadVersion(version))
})

// The relay has erased the version at hand: what is measured and written next is a newer one's.
effect(() => {
  const retired = versions.value.filter((version) => version.retired)
  if (retired.some(({ digest }) => digest === loadedVersion.peek()?.digest)) forgetMerged()
})

function forgetMerged(): void {
  loadedVersion.value = null
  measured.merged.value = { loss: null, counted: 0, fraction: null }
  writings.merged.value = { text: '', tokens: 0, tokensPerSecond: null, active: false }
}

/** Has the worker hold a version as `merged`, and measures it. */
export async function loadVersion(version: Version): Promise<void> {
  if (loadedVersion.peek()?.digest === version.digest) return measure('merged')
  const { config, weights } = await fetchVersion(version)
  await inWorker((api) => api.setMerged(config, weights))
  forgetMerged()
  loadedVersion.value = version
  await measure('merged')
}

/** Back to the receipt, or to the choice of sending. */
export function leaveResult(): void {
  if (receipt.peek()) move('result', { at: 'sent' })
  else move('result', { at: 'reviewing' })
}

/** Set while the person wants no more text; the jobs that have not begun are then skipped. */
let stopRequested = false

export async function writeWithAll(prompt: string): Promise<void> {
  problem.value = null
  stopRequested = false
  writtenPrompt.value = prompt
  const writers: Which[] = loadedVersion.peek() ? ['base', 'own', 'merged'] : ['base', 'own']
  for (const which of writers) {
    writings[which].value = { text: '', tokens: 0, tokensPerSecond: null, active: true }
  }
  for (const which of writers) void inTurn(() => write(which, prompt))
  await queue
  await refreshCounters()
}

async function write(which: Which, prompt: string): Promise<void> {
  const entry = writings[which]
  const onText = callback((text: string) => {
    if (entry.peek().active) entry.value = { ...entry.peek(), text: entry.peek().text + text }
  })
  try {
    if (stopRequested) return
    const written = await inWorker((api) =>
      api.generate({ which, prompt, maxTokens: WRITTEN_TOKENS }, onText),
    )
    entry.value = { ...entry.peek(), ...written }
  } finally {
    entry.value = { ...entry.peek(), active: false }
  }
}

export function stopWriting(): void {
  stopRequested = true
  void inWorker((api) => api.stopGenerating())
}

/** What is being packed for download, or null. */
export const packing = signal<{ readonly which: 'own' | 'merged'; readonly format: ExportFormat } | null>(
  null,
)

export async function downloadAdapter(which: 'own' | 'merged', format: ExportFormat): Promise<void> {
  const room = manifest.peek()
  if (!room || packing.peek()) return
  const whose = which === 'own' ? 'own' : `merged-v${loadedVersion.peek()?.version}`
  const ending = { peft: 'adapter.zip', gguf: 'adapter.gguf', merged: 'model.zip' }[format]
  packing.value = { which, format }
  await inTurn(async () => {
    const blob = await inWorker((api) => api.exportAdapter(which, format, room.base))
    saveFile(`${room.room}-${whose}-${ending}`, blob)
  })
  packing.value = null
}

export function downloadReceipt(): void {
  const stored = receipt.peek()
  if (stored) saveFile(`${stored.room}-receipt.json`, `${JSON.stringify(stored, null, 2)}\n`)
}
