/**
 * The ways in which a picture file is refused. Each sentence is said of one file, whose name stands before it:
 * "dog.png: it is animated; …".
 */
import { DataError } from '../errors.ts'
import { MAX_PIXELS, MAX_PIXELS_IN_MEMORY } from './limits.ts'

export type PictureErrorCode =
  | 'picture/empty'
  | 'picture/unsupported'
  | 'picture/too-large'
  | 'picture/animated'
  | 'picture/broken'
  | 'picture/decoder'

/** Why a picture file cannot be read. */
export class PictureError extends DataError {
  declare readonly code: PictureErrorCode
}

export const broken = (what: string, cause?: unknown) =>
  new PictureError('picture/broken', `it is broken: ${what}; save it anew or leave it out`, { cause })

export const endsEarly = () => broken('it ends before the picture does')

export const unsupported = (what: string) =>
  new PictureError('picture/unsupported', `it is ${what}; save it as an ordinary png, jpg or webp`)

export const animated = () =>
  new PictureError('picture/animated', 'it is animated; save one frame of it as a picture')

/** @throws PictureError `picture/too-large`, `picture/broken`: checked before anything is allocated for the pixels. */
export function checkSize(width: number, height: number, inMemory: boolean): void {
  if (width < 1 || height < 1) throw broken('it claims to be empty')
  const most = inMemory ? MAX_PIXELS_IN_MEMORY : MAX_PIXELS
  if (width * height > most) {
    throw new PictureError(
      'picture/too-large',
      `it has ${width} x ${height} pixels, more than the ${most / 1e6} million read of its kind; make it smaller`,
    )
  }
}
