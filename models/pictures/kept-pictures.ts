/**
 * Pictures that were read, in one file: safetensors with `image` U8 [N, side, side, 3] and, in its metadata, names, captions and
 * what was skipped. A browser keeps this instead of a person's photos: 3 KB a picture, and nothing in it but what training sees.
 */
import * as v from 'valibot'
import { DataError, FormatError } from '../errors.ts'
import { parseSafetensors, writeSafetensors } from '../formats/safetensors.ts'
import { cleanCaption, MAX_CAPTION_CHARACTERS } from './caption-text.ts'
import { MAX_PICTURES } from './limits.ts'
import type { Picture } from './picture.ts'
import type { PicturesRead } from './read-pictures.ts'

const KEY = 'pictures'

const records = v.strictObject({
  pictures: v.pipe(
    v.array(
      v.strictObject({
        name: v.string(),
        caption: v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_CAPTION_CHARACTERS)),
      }),
    ),
    v.maxLength(MAX_PICTURES),
  ),
  skipped: v.array(
    v.strictObject({
      name: v.string(),
      code: v.string(),
      reason: v.string(),
      line: v.optional(v.pipe(v.number(), v.integer())),
    }),
  ),
})

/** @param side of every picture, also where there is none */
export function keepPictures({ pictures, skipped }: PicturesRead, side: number): Uint8Array {
  const pictureBytes = side * side * 3
  const bytes = new Uint8Array(pictures.length * pictureBytes)
  for (const [index, { pixels }] of pictures.entries()) bytes.set(pixels, index * pictureBytes)
  const image = { name: 'image', dtype: 'U8', shape: [pictures.length, side, side, 3], bytes } as const
  const named = pictures.map(({ name, caption }) => ({ name, caption }))
  return writeSafetensors([image], { [KEY]: JSON.stringify({ pictures: named, skipped }) })
}

/**
 * The same pictures, one of them under other words.
 *
 * @throws FormatError as `readKeptPictures`; DataError `pictures/caption` for words that are no caption
 */
export function withCaption(file: Uint8Array, place: number, words: string): Uint8Array {
  const caption = cleanCaption(words)
  if (caption === '' || caption.length > MAX_CAPTION_CHARACTERS) {
    throw new DataError(
      'pictures/caption',
      `A caption has 1 to ${MAX_CAPTION_CHARACTERS} characters; write what the picture shows.`,
    )
  }
  const { pictures, skipped, side } = readKeptPictures(file)
  if (!pictures[place]) throw new RangeError(`picture ${place} of ${pictures.length}`)
  const changed = pictures.map((picture, index) => (index === place ? { ...picture, caption } : picture))
  return keepPictures({ pictures: changed, skipped }, side)
}

/** `pixels` are views of the file. Throws FormatError `pictures/malformed-kept`, `safetensors/malformed`. */
export function readKeptPictures(file: Uint8Array): PicturesRead & { readonly side: number } {
  const malformed = (cause?: unknown) =>
    new FormatError(
      'pictures/malformed-kept',
      'The pictures kept in this browser cannot be read; add them again.',
      {
        cause,
      },
    )
  const { tensors, metadata } = parseSafetensors(file)
  const image = tensors.get('image')
  const [count, side] = image?.shape ?? []
  if (image?.dtype !== 'U8' || image.shape.join() !== [count, side, side, 3].join()) throw malformed()
  let json: unknown
  try {
    json = JSON.parse(metadata.get(KEY) ?? '')
  } catch (error) {
    throw malformed(error)
  }
  const parsed = v.safeParse(records, json)
  if (!parsed.success || parsed.output.pictures.length !== count) throw malformed()
  const pictureBytes = side * side * 3
  const pictures: Picture[] = parsed.output.pictures.map(({ name, caption }, index) => ({
    name,
    caption,
    side,
    pixels: image.bytes.subarray(index * pictureBytes, (index + 1) * pictureBytes),
  }))
  return {
    side,
    pictures,
    skipped: parsed.output.skipped.map(({ line, ...rest }) =>
      line === undefined ? rest : { ...rest, line },
    ),
  }
}
