/**
 * A picture file that is opened: its header is read and believed to be possible, its pixels are not yet decoded. They come
 * row by row, so that a large photo is never in memory as a whole where its format allows that.
 */
export interface OpenPicture {
  /** Pixels of the picture as the file stores them, before `orientation`. */
  readonly width: number
  readonly height: number
  /** A row's samples are this many pixels apart, and so are rows: 1, or 8 for a large jpg read at an eighth. */
  readonly span: number
  /** How a viewer has to turn it: 1 to 8 as in Exif, 1 as it is. */
  readonly orientation: number
  /**
   * Calls `row` for ceil(height / span) rows from the top, each ceil(width / span) samples of RGBA, not premultiplied. The
   * array is used again for the next row.
   *
   * @throws PictureError `picture/broken`
   */
  read(row: (y: number, rgba: Uint8Array) => void): void | Promise<void>
}
