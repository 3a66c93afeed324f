/**
 * A captioned picture as training sees it: a square of RGB bytes and a few words. Whatever file it came from,
 * nothing else of that file is kept: no name of a camera, no place, no date.
 */
import { type Split, splitByContent } from '../training/holdout.ts'

export interface Picture {
  /** Of the file it came from, with the path inside its folder. */
  readonly name: string
  /** One line, not empty. */
  readonly caption: string
  /** Pixels along an edge. */
  readonly side: number
  /** [side * side * 3], rows from the top, RGB; what was transparent is white. */
  readonly pixels: Uint8Array
}

/**
 * Held out by what is seen: a picture under two names or captions never stands on both sides. The captions do not
 * count, so correcting one moves nothing.
 */
export const splitPictures = <P extends Picture>(pictures: readonly P[], fraction?: number): Split<P> =>
  splitByContent(pictures, ({ pixels }) => [pixels], fraction)
