/**
 * Many small pictures in one file: safetensors with `image` U8 [N, side, side, 3] (rows, columns, RGB), and beside it a
 * JSON list with one record a picture: `index`, `name`, `caption`, and where it has them `category` and `split`. It is how
 * data sets for models of this size come, 1,400 pictures in 4 MB.
 */
import { FormatError } from '../errors.ts'
import { parseSafetensors } from '../formats/safetensors.ts'
import { cleanCaption, MAX_CAPTION_CHARACTERS } from './caption-text.ts'
import type { Picture } from './picture.ts'

export interface SetPicture extends Picture {
  /** What it shows, without the keywords of the caption. */
  readonly title: string
  /** Empty where the record has none. */
  readonly category: string
  readonly split: string
}

/** Models that run in a tab draw 32 to 128 pixels; more is no data set for them. */
const MAX_SIDE = 256

const malformed = (message: string) =>
  new FormatError('pictures/malformed-set', `This is no set of pictures: ${message}.`)

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function parseRecords(json: Uint8Array): unknown[] {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(json)))
    if (Array.isArray(value)) return value
  } catch {}
  throw malformed('its records are not a JSON list')
}

/**
 * Every picture of a set in its order; `pixels` are views of `weights`.
 *
 * @throws FormatError `safetensors/malformed`, `pictures/malformed-set`
 */
export function readPictureSet(weights: Uint8Array, records: Uint8Array): SetPicture[] {
  const image = parseSafetensors(weights).tensors.get('image')
  if (!image) throw malformed('it has no tensor "image"')
  const [count, side, width, channels] = image.shape
  const square = image.shape.length === 4 && side === width && channels === 3 && side >= 1 && side <= MAX_SIDE
  if (image.dtype !== 'U8' || !square) {
    throw malformed(
      `"image" is ${image.dtype} [${image.shape}], not U8 [pictures, side, side, 3] with a side up to ${MAX_SIDE}`,
    )
  }
  const listed = parseRecords(records)
  if (listed.length !== count) throw malformed(`it has ${count} pictures and ${listed.length} records`)
  const pictureBytes = side * side * 3
  return listed.map((record, index) => {
    if (!isObject(record)) throw malformed(`record ${index} is not an object`)
    if (record.index !== undefined && record.index !== index) {
      throw malformed(`record ${index} says it is number ${JSON.stringify(record.index).slice(0, 40)}`)
    }
    const caption = cleanCaption(textOf(record.caption))
    if (caption === '' || caption.length > MAX_CAPTION_CHARACTERS) {
      throw malformed(`record ${index} has no caption of 1 to ${MAX_CAPTION_CHARACTERS} characters`)
    }
    const title = cleanCaption(textOf(record.name)) || caption
    return {
      name: title,
      title,
      caption,
      category: textOf(record.category),
      split: textOf(record.split),
      side,
      pixels: image.bytes.subarray(index * pictureBytes, (index + 1) * pictureBytes),
    }
  })
}
