/**
 * Pictures on their way to the worker. It reads the files at once, and only what it makes of them is kept: a small square and a
 * caption each. So a folder of photos costs this browser a few hundred kilobytes, and nothing else of them stays.
 */
import { data } from '../strings/data.ts'
import { pictures as text } from '../strings/pictures.ts'
import type { LocalFile } from '../worker/api.ts'
import type { Picked } from './dropped.ts'
import type { PictureSample } from './picture-samples.ts'
import { PageError, toProblem } from './problems.ts'
import { readAll, setFiles } from './reading.ts'
import { files, problem, reading } from './store.ts'
import { recordWire } from './wire.ts'
import { callback, inWorker, isDeviceProblem } from './worker-client.ts'

/** What the files are called together: their folder, or the first of them. */
export function nameOf({ files: picked }: Picked): string {
  const [{ name }] = picked
  const folder = name.slice(0, name.indexOf('/') + 1)
  return folder !== '' && picked.every((file) => file.name.startsWith(folder))
    ? folder
    : text.additionName(name, picked.length)
}

/** Reads what was picked, adds it to the person's data and reads these anew. */
export async function addPictures(picked: Picked): Promise<void> {
  if (picked.files.length === 0) return
  reading.value = data.reading
  const onFile = callback((done: number, total: number) => {
    if (reading.peek() !== null) reading.value = text.readingFiles(done, total)
  })
  const given = picked.files.map(({ name, file }) => ({ name, file }))
  await pack(nameOf(picked), () => inWorker((api) => api.packPictures(given, onFile)))
}

export async function addPictureSample(sample: PictureSample): Promise<void> {
  problem.value = null
  if (files.peek().some(({ name }) => name === sample.fileName)) return
  reading.value = data.readingSample(sample.title)
  let png: Uint8Array
  try {
    const response = await fetch(sample.url)
    if (!response.ok) throw new PageError('data/sample', data.sampleFailed(sample.title))
    png = new Uint8Array(await response.arrayBuffer())
  } catch {
    reading.value = null
    problem.value = { code: 'data/sample', message: data.sampleFailed(sample.title) }
    return
  }
  recordWire({ direction: 'in', event: `GET ${sample.url}`, bytes: png.length, payload: png })
  await pack(sample.fileName, () => inWorker((api) => api.packSheet(png, sample.captions)))
}

/** One after another: each changes the file that the one before left. */
let recaptioning: Promise<void> = Promise.resolve()

/** Other words to one picture; they are kept and trained on like those that came with it. */
export function changeCaption(file: number, place: number, caption: string): Promise<void> {
  recaptioning = recaptioning.then(async () => {
    const changed = files.peek()[file]
    if (!changed) return
    problem.value = null
    try {
      const bytes = await inWorker((api) => api.recaption(changed.bytes, place, caption))
      setFiles(files.peek().map((one) => (one === changed ? { ...one, bytes } : one)))
    } catch (error) {
      const found = toProblem(error)
      if (!isDeviceProblem(found)) problem.value = found
      return
    }
    await readAll()
  })
  return recaptioning
}

async function pack(name: string, read: () => Promise<Pick<LocalFile, 'bytes'>>): Promise<void> {
  try {
    const { bytes } = await read()
    setFiles([...files.peek(), { name, bytes }])
  } catch (error) {
    const found = toProblem(error)
    reading.value = null
    if (!isDeviceProblem(found)) problem.value = found
    return
  }
  await readAll()
}
