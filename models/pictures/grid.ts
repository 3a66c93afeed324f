/** Square pictures side by side in one, rows from the top, with a white line between. */

export interface PictureGrid {
  /** RGB [width * height * 3]. */
  readonly pixels: Uint8Array
  readonly width: number
  readonly height: number
  readonly columns: number
}

/** Of the enlarged picture. */
const GAP_PIXELS = 4

export interface GridOptions {
  /** Each pixel becomes a square of so many. */
  readonly enlarge: number
  /** Default: as square as it gets, at most 8. */
  readonly columns?: number
}

/** @param pictures RGB [side * side * 3] each */
export function pictureGrid(
  pictures: readonly Uint8Array[],
  side: number,
  { enlarge, columns = Math.min(8, Math.ceil(Math.sqrt(pictures.length))) }: GridOptions,
): PictureGrid {
  if (pictures.some(({ length }) => length !== side * side * 3))
    throw new RangeError('a picture of another size')
  if (pictures.length === 0) throw new RangeError('no pictures')
  const cell = side * enlarge
  const rows = Math.ceil(pictures.length / columns)
  const extent = (count: number) => count * cell + (count - 1) * GAP_PIXELS
  const [width, height] = [extent(columns), extent(rows)]
  const pixels = new Uint8Array(width * height * 3).fill(255)
  pictures.forEach((picture, i) => {
    const left = (i % columns) * (cell + GAP_PIXELS)
    const top = Math.floor(i / columns) * (cell + GAP_PIXELS)
    for (let y = 0; y < cell; y++) {
      for (let x = 0; x < cell; x++) {
        const from = 3 * (Math.floor(y / enlarge) * side + Math.floor(x / enlarge))
        pixels.set(picture.subarray(from, from + 3), 3 * ((top + y) * width + left + x))
      }
    }
  })
  return { pixels, width, height, columns }
}
