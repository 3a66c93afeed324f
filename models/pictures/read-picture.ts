/** A picture file, whatever its name says, as the square of pixels that a model trains on. */
import { isJpeg } from './jpeg-header.ts'
import { MAX_FILE_BYTES } from './limits.ts'
import { PictureError, unsupported } from './picture-errors.ts'
import { openJpeg } from './read-jpeg.ts'
import { isPng, openPng } from './read-png.ts'
import { isWebp, openWebp, type WebpModule } from './read-webp.ts'
import type { OpenPicture } from './rows.ts'
import { SquareReducer } from './square.ts'

export type PictureKind = 'png' | 'jpg' | 'webp'

export interface ReadPicture {
  readonly kind: PictureKind
  /** Of the file's picture, as it is looked at. */
  readonly width: number
  readonly height: number
  /** [side * side * 3], RGB */
  readonly pixels: Uint8Array
}

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to))

/** What people have that is a picture and is not read, by its first bytes. */
function otherKind(bytes: Uint8Array): string | null {
  if (ascii(bytes, 0, 3) === 'GIF') return 'a gif'
  if (ascii(bytes, 4, 8) === 'ftyp') {
    const brand = ascii(bytes, 8, 12)
    if (brand.startsWith('avi')) return 'an avif'
    if (/^(hei|hev|mif|msf)/.test(brand)) return 'a heic photo'
    return 'a video'
  }
  if (ascii(bytes, 0, 2) === 'BM') return 'a bmp'
  if (['II*\0', 'MM\0*'].includes(ascii(bytes, 0, 4))) return 'a tiff or a raw photo'
  if (ascii(bytes, 0, 4) === '%PDF') return 'a pdf'
  if (/^(\ufeff|ï»¿)?\s*<(\?xml|svg|!DOCTYPE svg)/i.test(ascii(bytes, 0, 100))) return 'a drawing (svg)'
  return null
}

/** Which kind it is, by its bytes; null: none that is read. */
export function pictureKind(bytes: Uint8Array): PictureKind | null {
  if (isPng(bytes)) return 'png'
  if (isJpeg(bytes)) return 'jpg'
  return isWebp(bytes) ? 'webp' : null
}

function open(kind: PictureKind, bytes: Uint8Array, side: number, webp: WebpModule): OpenPicture {
  switch (kind) {
    case 'png':
      return openPng(bytes)
    case 'jpg':
      return openJpeg(bytes, side)
    case 'webp':
      return openWebp(bytes, webp)
    default: {
      const never: never = kind
      return never
    }
  }
}

/** @throws PictureError `picture/too-large` */
export function checkFileSize(bytes: number): void {
  if (bytes <= MAX_FILE_BYTES) return
  throw new PictureError(
    'picture/too-large',
    `it has ${Math.round(bytes / 1e6)} MB, more than the ${MAX_FILE_BYTES / 1024 / 1024} a picture may have; make it smaller`,
  )
}

/**
 * Header first: what it claims is checked before anything of that size is made. Turned as its Exif data say; all other metadata are
 * left where they are.
 *
 * @param side pixels along an edge of the result
 * @throws PictureError, and nothing else whatever the bytes
 */
export async function readPicture(bytes: Uint8Array, side: number, webp: WebpModule): Promise<ReadPicture> {
  checkFileSize(bytes.length)
  if (bytes.length === 0)
    throw new PictureError('picture/empty', 'it is empty; pick it again or leave it out')
  const kind = pictureKind(bytes)
  if (kind === null) throw unsupported(otherKind(bytes) ?? 'no picture')
  const picture = open(kind, bytes, side, webp)
  const { width, height, span, orientation } = picture
  const square = new SquareReducer(width, height, side, span)
  await picture.read((y, rgba) => square.add(y, rgba))
  const lies = orientation >= 5
  return {
    kind,
    width: lies ? height : width,
    height: lies ? width : height,
    pixels: square.finish(orientation),
  }
}
