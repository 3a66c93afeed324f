/**
 * Several pictures under one another in one PNG, as the embedded samples come: a sheet side pixels wide, one caption for each
 * picture of it. It is smaller than as many files, and any program shows it.
 */
import { FormatError } from '../errors.ts'
import { PictureError } from './picture-errors.ts'
import { openPng } from './read-png.ts'

/** A sheet is written by us; one of more is none. */
const MAX_PICTURES = 1000

/**
 * [side * side * 3] of each picture, from the top.
 *
 * @throws FormatError `pictures/malformed-sheet`
 */
export function readSheet(png: Uint8Array, side: number): Uint8Array[] {
  const malformed = (what: string, cause?: unknown) =>
    new FormatError('pictures/malformed-sheet', `This is no sheet of pictures: ${what}.`, { cause })
  try {
    const { width, height, read } = openPng(png)
    const count = height / side
    if (width !== side || !Number.isInteger(count) || count > MAX_PICTURES) {
      throw malformed(`it has ${width} x ${height} pixels, not ${side} times a number of pictures`)
    }
    const pictures = Array.from({ length: count }, () => new Uint8Array(side * side * 3))
    void read((y, rgba) => {
      const picture = pictures[Math.floor(y / side)]
      const row = (y % side) * side
      for (let x = 0; x < side; x++) picture.set(rgba.subarray(4 * x, 4 * x + 3), 3 * (row + x))
    })
    return pictures
  } catch (error) {
    if (error instanceof PictureError) throw malformed(error.message, error)
    throw error
  }
}
