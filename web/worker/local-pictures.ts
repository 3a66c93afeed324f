/**
 * A person's pictures on their way to training: files become small squares with captions in one step (`packFiles`), and only these
 * are kept; from them come the examples, a tenth held out.
 */
import { samplePictures } from '../../models/catalog/picture-samples.ts'
import type { PictureModel } from '../../models/families/family.ts'
import { keepPictures, readKeptPictures } from '../../models/pictures/kept-pictures.ts'
import { type Picture, splitPictures } from '../../models/pictures/picture.ts'
import { type PicturesRead, readPictures, resized } from '../../models/pictures/read-pictures.ts'
import type { PictureExample } from '../../models/training/pictures.ts'
import { toProblem } from '../state/problems.ts'
import { pictures as text } from '../strings/pictures.ts'
import type { DataReport, FileReport, LocalFile, PackedPictures, PictureFile, PictureViews } from './api.ts'
import { webpModule } from './webp.ts'

export interface LocalPictures {
  readonly train: readonly PictureExample[]
  readonly heldOut: readonly PictureExample[]
  readonly pictures: readonly Picture[]
  /** Of each picture, the file that holds it and its place there. */
  readonly places: readonly { readonly file: number; readonly place: number }[]
  readonly heldOutPictures: ReadonlySet<Picture>
  readonly report: DataReport
}

const packed = (read: PicturesRead, side: number): PackedPictures => ({
  bytes: keepPictures(read, side),
  pictures: read.pictures.length,
})

export async function packFiles(
  files: readonly PictureFile[],
  side: number,
  onFile: (done: number, total: number) => void,
): Promise<PackedPictures> {
  const sources = files.map(({ name, file }) => ({
    name,
    bytes: file.size,
    read: async () => new Uint8Array(await file.arrayBuffer()),
  }))
  return packed(await readPictures(sources, { side, webp: webpModule, onFile }), side)
}

export function packSheet(png: Uint8Array, captions: readonly string[], side: number): PackedPictures {
  const pictures = samplePictures(png, { captions }).map((picture) => resized(picture, side))
  return packed({ pictures, skipped: [] }, side)
}

type Read = { readonly pictures: readonly Picture[]; readonly report: FileReport }

function readOne({ name, bytes }: LocalFile, side: number): Read {
  const report = { name, fileBytes: bytes.length, fullRows: 0, skipped: [], problem: null }
  try {
    const kept = readKeptPictures(bytes)
    // A room of the same name with another model: the pictures were made for that one.
    const pictures = kept.pictures.map((picture) => resized(picture, side))
    const count = pictures.length
    const none = { code: 'data/no-pictures', message: text.problemNone(name) }
    return {
      pictures,
      report: {
        ...report,
        documents: count,
        examples: count,
        tokens: count,
        skipped: kept.skipped.map(({ name: file, line, reason }) => ({
          file,
          reason,
          ...(line === undefined ? {} : { line }),
        })),
        problem: count === 0 ? none : null,
      },
    }
  } catch (error) {
    const nothing = { documents: 0, examples: 0, tokens: 0 }
    return { pictures: [], report: { ...report, ...nothing, problem: toProblem(error) } }
  }
}

export function readLocalPictures(files: readonly LocalFile[], model: PictureModel): LocalPictures {
  const read = files.map((file) => readOne(file, model.side))
  const pictures = read.flatMap((one) => one.pictures)
  const { train, heldOut } = splitPictures(pictures)
  return {
    train: train.map((picture) => model.example(picture)),
    heldOut: heldOut.map((picture) => model.example(picture)),
    pictures,
    places: read.flatMap((one, file) => one.pictures.map((_, place) => ({ file, place }))),
    heldOutPictures: new Set(heldOut),
    report: {
      files: read.map(({ report }) => report),
      documents: pictures.length,
      trainExamples: train.length,
      heldOutExamples: heldOut.length,
      tokens: pictures.length,
      windowTokens: 0,
    },
  }
}

export function viewPictures(
  { pictures, places, heldOutPictures }: LocalPictures,
  side: number,
  first: number,
  count: number,
): PictureViews {
  return {
    side,
    pictures: pictures.slice(first, first + count).map((picture, index) => ({
      ...places[first + index],
      name: picture.name,
      caption: picture.caption,
      heldOut: heldOutPictures.has(picture),
      pixels: picture.pixels.slice(),
    })),
  }
}
