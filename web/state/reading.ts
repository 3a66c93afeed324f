/** Files, pasted text and samples on their way to the worker, which reads them into examples. */
import { computed } from '@preact/signals'
import { data as text } from '../strings/data.ts'
import type { LocalFile } from '../worker/api.ts'
import { PICTURES, type Picked, TEXTS } from './dropped.ts'
import { move, type Problem } from './machine.ts'
import { drawsPictures } from './medium.ts'
import { PAIRS_FILE_NAME, type Pair, pairsFile } from './pairs.ts'
import { addPictures } from './picture-files.ts'
import { PageError, toProblem } from './problems.ts'
import type { Sample } from './samples.ts'
import { keepFiles, keepSession } from './session.ts'
import { dataReport, files, folderNote, manifest, outcome, problem, reading, update } from './store.ts'
import { recordWire } from './wire.ts'
import { inWorker, isDeviceProblem } from './worker-client.ts'

/** Larger files are refused by the reader in the worker; this only spares the page from holding them. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/** One example to learn from and one to measure on. */
export const hasEnoughText = computed(
  () =>
    reading.value === null &&
    files.value.length > 0 &&
    (dataReport.value?.trainExamples ?? 0) >= 1 &&
    (dataReport.value?.heldOutExamples ?? 0) >= 1,
)

/** An adapter trained on other text is not the one to send: it is trained anew. */
export function setFiles(next: readonly LocalFile[]): void {
  files.value = next
  outcome.value = null
  update.value = null
}

/** Counts the readings, so that only the latest one's report is shown. */
let readings = 0

export async function addFiles(chosen: Picked): Promise<void> {
  const { files: picked, leftOut, tooMany } = chosen
  problem.value = null
  folderNote.value = tooMany
    ? text.folderTooMany((drawsPictures.peek() ? PICTURES : TEXTS).most)
    : leftOut > 0
      ? text.folderLeftOut(leftOut)
      : null
  if (picked.length === 0) {
    if (leftOut > 0) problem.value = { code: 'data/no-texts', message: text.folderNoTexts }
    return
  }
  if (drawsPictures.peek()) return addPictures(chosen)
  reading.value = text.reading
  const added: LocalFile[] = []
  const failed: Problem[] = []
  for (const { name, file } of picked) {
    if (file.size > MAX_FILE_BYTES) {
      failed.push({ code: 'data/too-large', message: text.fileTooLarge(name, MAX_FILE_BYTES) })
      continue
    }
    try {
      added.push({ name, bytes: new Uint8Array(await file.arrayBuffer()) })
    } catch {
      // A browser's own errors here (a folder, a file moved since) say nothing that helps.
      failed.push({ code: 'data/unreadable', message: text.fileUnreadable(name) })
    }
  }
  if (failed.length > 0) {
    problem.value = { code: failed[0].code, message: failed.map(({ message }) => message).join(' ') }
  }
  // What was trained stands as long as the text is the same.
  if (added.length === 0) {
    reading.value = null
    return
  }
  setFiles([...files.peek(), ...added])
  await readAll()
}

export async function addText(pasted: string): Promise<void> {
  problem.value = null
  const name = nextPastedName()
  setFiles([...files.peek(), { name, bytes: new TextEncoder().encode(pasted) }])
  await readAll()
}

function nextPastedName(): string {
  let number = 1
  while (files.peek().some((file) => file.name === text.pasteName(number))) number += 1
  return text.pasteName(number)
}

/** Replaces the file of pairs while they are written; reading waits for a pause in the writing. */
export function setPairs(pairs: readonly Pair[]): void {
  clearTimeout(pairsTimer)
  // Nobody goes on with a pair that has not been read yet.
  reading.value = text.reading
  pairsTimer = setTimeout(() => {
    const others = files.peek().filter(({ name }) => name !== PAIRS_FILE_NAME)
    const file = pairsFile(pairs)
    setFiles(file ? [...others, file] : others)
    void readAll()
  }, PAIRS_WAIT_MS)
}
const PAIRS_WAIT_MS = 500
let pairsTimer: ReturnType<typeof setTimeout> | undefined

export async function addSample(sample: Sample): Promise<void> {
  problem.value = null
  if (files.peek().some((file) => file.name === sample.fileName)) return
  reading.value = text.readingSample(sample.title)
  try {
    const response = await fetch(sample.url)
    if (!response.ok) throw new PageError('data/sample', text.sampleFailed(sample.title))
    const bytes = new Uint8Array(await response.arrayBuffer())
    recordWire({ direction: 'in', event: `GET ${sample.url}`, bytes: bytes.length, payload: bytes })
    setFiles([...files.peek(), { name: sample.fileName, bytes }])
  } catch {
    reading.value = null
    problem.value = { code: 'data/sample', message: text.sampleFailed(sample.title) }
    return
  }
  await readAll()
}

export async function removeFile(index: number): Promise<void> {
  problem.value = null
  setFiles(files.peek().filter((_, position) => position !== index))
  await readAll()
}

/** Reads all files again: which examples are held out depends on all of them. */
export async function readAll(): Promise<void> {
  const room = manifest.peek()
  if (!room) return
  readings += 1
  const mine = readings
  const chosen = files.peek()
  keepFiles()
  keepSession()
  if (chosen.length === 0) {
    reading.value = null
    dataReport.value = null
    return
  }
  reading.value = text.reading
  try {
    const report = await inWorker((api) => api.readData(chosen, room))
    if (mine === readings) dataReport.value = report
  } catch (error) {
    const found = toProblem(error)
    if (mine === readings && !isDeviceProblem(found)) problem.value = found
  } finally {
    if (mine === readings) reading.value = null
  }
}

export function continueToTraining(): void {
  if (hasEnoughText.peek()) move('data', { at: 'ready' })
}
