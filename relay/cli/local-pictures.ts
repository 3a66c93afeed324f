/** A person's pictures from the disk: folders with everything in them, picture files, or sets of pictures. */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { DataError } from '../../models/errors.ts'
import type { Picture } from '../../models/pictures/picture.ts'
import { type PictureSource, readPictures } from '../../models/pictures/read-pictures.ts'
import { nodeWebpModule } from '../../models/pictures/webp-node.ts'
import type { Console } from './console.ts'
import { fileError } from './errors.ts'

/** Skipped files named on stderr; the rest is counted. */
const SHOWN = 5

/** Folders within folders: more is a loop of links. */
const MAX_DEPTH = 16

/** Throws CliError for a path that is not there, DataError `data/empty` where no picture can be used. */
export async function readPictureFiles(
  paths: readonly string[],
  side: number,
  console: Console,
): Promise<Picture[]> {
  const sources: PictureSource[] = []
  for (const given of paths) await collect(given, path.basename(path.resolve(given)), 0, sources)
  await addRecords(paths, sources)
  const progress = console.progress('Reading pictures', sources.length, 'files')
  const { pictures, skipped } = await readPictures(sources, {
    side,
    webp: nodeWebpModule,
    onFile: (done) => progress.update(done),
  })
  progress.finish(`${pictures.length} pictures`)
  for (const { name, line, reason } of skipped.slice(0, SHOWN)) {
    console.note(`${name}${line === undefined ? '' : `, line ${line}`} is skipped: ${reason}.`)
  }
  if (skipped.length > SHOWN) console.note(`${skipped.length - SHOWN} more files are skipped.`)
  if (pictures.length === 0) {
    throw new DataError(
      'data/empty',
      'None of these files gives a picture with words to it; name png, jpg or webp files, or their folder.',
    )
  }
  return pictures
}

async function collect(given: string, name: string, depth: number, to: PictureSource[]): Promise<void> {
  let found: Awaited<ReturnType<typeof stat>>
  try {
    found = await stat(given)
  } catch (error) {
    throw fileError('read', given, error)
  }
  if (found.isDirectory()) {
    if (depth > MAX_DEPTH) return
    for (const entry of await readdir(given)) {
      await collect(path.join(given, entry), `${name}/${entry}`, depth + 1, to)
    }
  } else if (found.isFile()) {
    to.push({ name, bytes: Number(found.size), read: async () => new Uint8Array(await readFile(given)) })
  }
}

/** A set that is named by itself has its records beside it, under its own name. */
async function addRecords(paths: readonly string[], sources: PictureSource[]): Promise<void> {
  for (const given of paths) {
    if (!given.toLowerCase().endsWith('.safetensors')) continue
    const records = `${given.slice(0, -'.safetensors'.length)}.json`
    if (paths.includes(records) || !(await stat(records).catch(() => undefined))?.isFile()) continue
    await collect(records, path.basename(records), 0, sources)
  }
}
