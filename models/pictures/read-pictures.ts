/**
 * A person's files as captioned pictures: picture files in any folders with their captions, or whole sets in one file. A file
 * that cannot be used is named with its reason, and the others go on. One file is in memory at a time, however many there are.
 */
import { FormatError } from '../errors.ts'
import {
  baseName,
  captionOfPath,
  checkCaption,
  folderOf,
  METADATA_NAME,
  readMetadata,
  type SkippedLine,
  stemOf,
} from './captions.ts'
import { MAX_FILE_BYTES, MAX_PICTURES } from './limits.ts'
import type { Picture } from './picture.ts'
import { PictureError } from './picture-errors.ts'
import { readPictureSet } from './picture-set.ts'
import { checkFileSize, readPicture } from './read-picture.ts'
import type { WebpModule } from './read-webp.ts'
import { SquareReducer } from './square.ts'

/** A file that is read when its turn comes. */
export interface PictureSource {
  /** With the path inside its folder, and forward slashes. */
  readonly name: string
  readonly bytes: number
  read(): Promise<Uint8Array>
}

export interface SkippedPicture extends SkippedLine {
  readonly code: string
}

export interface PicturesRead {
  readonly pictures: Picture[]
  readonly skipped: SkippedPicture[]
}

export interface PictureReading {
  readonly side: number
  readonly webp: WebpModule
  /** Of the files given. */
  readonly onFile?: (done: number, total: number) => void
}

/** A caption beside a picture is a line; more than this is another kind of text. */
const MAX_SIDECAR_BYTES = 64 * 1024

/** What a hidden file begins with; editors and systems leave such beside the person's own. */
const isHidden = (name: string): boolean =>
  name.split('/').some((part) => part.startsWith('.')) || /(^|\/)(thumbs\.db|desktop\.ini)$/i.test(name)

const extensionOf = (name: string): string => /\.([^./]*)$/.exec(name)?.[1].toLowerCase() ?? ''

/** The same order whatever the order of the files, so that the same folder trains alike everywhere. */
const byName = (x: { name: string }, y: { name: string }): number =>
  x.name < y.name ? -1 : x.name > y.name ? 1 : 0

class Reading {
  readonly pictures: Picture[] = []
  readonly skipped: SkippedPicture[] = []
  readonly #options: PictureReading
  readonly #sources: readonly PictureSource[]
  #done = 0

  constructor(sources: readonly PictureSource[], options: PictureReading) {
    this.#options = options
    this.#sources = sources
  }

  skip(name: string, code: string, reason: string, line?: number): void {
    this.skipped.push({ name, code, reason, ...(line === undefined ? {} : { line }) })
  }

  /** The file's bytes, or null when it is skipped. */
  async bytes(source: PictureSource, most = MAX_FILE_BYTES): Promise<Uint8Array | null> {
    this.#options.onFile?.(this.#done++, this.#sources.length)
    try {
      if (source.bytes > most && most < MAX_FILE_BYTES) {
        this.skip(source.name, 'picture/too-large', `it has more than ${most} bytes, too much for a caption`)
        return null
      }
      checkFileSize(source.bytes)
      return await source.read()
    } catch (error) {
      if (error instanceof PictureError) this.skip(source.name, error.code, error.message)
      // A browser's own errors here (a file moved since) say nothing that helps.
      else this.skip(source.name, 'picture/unreadable', 'it cannot be opened; was it moved or renamed?')
      return null
    }
  }

  async text(source: PictureSource, most?: number): Promise<string | null> {
    const bytes = await this.bytes(source, most)
    if (bytes === null) return null
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(bytes))
    } catch {
      this.skip(source.name, 'picture/caption', 'it is not text in UTF-8; save it as UTF-8')
      return null
    }
  }

  async metadata(): Promise<Map<string, string>> {
    const captions = new Map<string, string>()
    const names = new Set(this.#sources.map(({ name }) => name))
    for (const source of this.#sources) {
      if (baseName(source.name).toLowerCase() !== METADATA_NAME) continue
      const text = await this.text(source)
      if (text === null) continue
      const rows = readMetadata(source.name, text)
      for (const { line, reason } of rows.skipped) this.skip(source.name, 'picture/caption', reason, line)
      for (const [path, { caption, line }] of rows.captions) {
        if (names.has(path)) captions.set(path, caption)
        else this.skip(source.name, 'picture/caption', `there is no picture ${path}`, line)
      }
    }
    return captions
  }

  /** Texts that stand beside a picture of their name, by path without extension. */
  async sidecars(pictures: readonly PictureSource[]): Promise<Map<string, string>> {
    const stems = new Set(pictures.map(({ name }) => stemOf(name)))
    const captions = new Map<string, string>()
    for (const source of this.#sources) {
      if (extensionOf(source.name) !== 'txt') continue
      if (!stems.has(stemOf(source.name))) {
        this.skip(source.name, 'picture/caption', 'no picture of its name lies beside it')
        continue
      }
      const text = await this.text(source, MAX_SIDECAR_BYTES)
      if (text === null) continue
      const checked = checkCaption(text)
      if ('reason' in checked) this.skip(source.name, 'picture/caption', checked.reason)
      else captions.set(stemOf(source.name), checked.caption)
    }
    return captions
  }

  async picture(source: PictureSource, given: string | undefined): Promise<void> {
    const bytes = await this.bytes(source)
    if (bytes === null) return
    const { side, webp } = this.#options
    try {
      const { pixels } = await readPicture(bytes, side, webp)
      const caption = given ?? captionOfPath(source.name)
      if (caption === '') {
        const how = `name it after what it shows, or write that into ${baseName(stemOf(source.name))}.txt beside it`
        this.skip(source.name, 'picture/caption', `nothing says what it shows; ${how}`)
      } else this.pictures.push({ name: source.name, caption, side, pixels })
    } catch (error) {
      if (!(error instanceof PictureError)) throw error
      this.skip(source.name, error.code, error.message)
    }
  }

  async set(source: PictureSource): Promise<void> {
    const beside = this.#sources.filter(
      ({ name }) => extensionOf(name) === 'json' && folderOf(name) === folderOf(source.name),
    )
    const records = beside.find(({ name }) => stemOf(name) === stemOf(source.name)) ?? beside[0]
    if (records === undefined) {
      this.skip(
        source.name,
        'pictures/malformed-set',
        'the .json file with its captions is missing; add it too',
      )
      return
    }
    const [weights, json] = [await this.bytes(source), await this.bytes(records)]
    if (weights === null || json === null) return
    try {
      const { side } = this.#options
      for (const picture of readPictureSet(weights, json)) this.pictures.push(resized(picture, side))
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      this.skip(source.name, error.code, error.message)
    }
  }
}

export function resized({ name, caption, pixels, side: own }: Picture, side: number): Picture {
  if (own === side) return { name, caption, side, pixels }
  const square = new SquareReducer(own, own, side)
  const rgba = new Uint8Array(4 * own).fill(255)
  for (let y = 0; y < own; y++) {
    for (let x = 0; x < own; x++) rgba.set(pixels.subarray(3 * (y * own + x), 3 * (y * own + x) + 3), 4 * x)
    square.add(y, rgba)
  }
  return { name, caption, side, pixels: square.finish() }
}

/** Every file ends up among the pictures or is named among the skipped, but for hidden ones and what captions pictures. */
export async function readPictures(
  files: readonly PictureSource[],
  options: PictureReading,
): Promise<PicturesRead> {
  const sources = files.filter(({ name }) => !isHidden(name)).sort(byName)
  const reading = new Reading(sources, options)
  const captioning = ({ name }: PictureSource) =>
    ['txt', 'json'].includes(extensionOf(name)) || baseName(name).toLowerCase() === METADATA_NAME
  const sets = sources.filter(({ name }) => extensionOf(name) === 'safetensors')
  const pictures = sources.filter((source) => !captioning(source) && !sets.includes(source))
  const metadata = await reading.metadata()
  const sidecars = await reading.sidecars(pictures)
  for (const source of sets) await reading.set(source)
  for (const source of pictures) {
    if (reading.pictures.length >= MAX_PICTURES) {
      reading.skip(source.name, 'picture/too-many', `at most ${MAX_PICTURES} pictures are taken`)
    } else await reading.picture(source, metadata.get(source.name) ?? sidecars.get(stemOf(source.name)))
  }
  options.onFile?.(sources.length, sources.length)
  return {
    pictures: reading.pictures,
    skipped: reading.skipped.sort((x, y) => byName(x, y) || (x.line ?? 0) - (y.line ?? 0)),
  }
}
