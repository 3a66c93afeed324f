/** Rows of a PNG: how many bytes they have, their filters undone, and their samples as RGBA of 8 bits. */
import { broken } from './picture-errors.ts'

export interface PngForm {
  readonly width: number
  readonly height: number
  /** Bits of a sample. */
  readonly depth: number
  /** PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha. */
  readonly colour: number
  readonly channels: number
  readonly interlaced: boolean
  /** RGB of each entry. */
  readonly palette: Uint8Array
  /** As tRNS has it: alpha of the palette's first entries, or the one transparent colour. */
  readonly transparency: Uint8Array | null
}

/** One of the seven pictures that an interlaced file holds one after the other, or the only one. */
export interface Pass {
  readonly width: number
  readonly height: number
  readonly left: number
  readonly top: number
  /** Steps between its pixels in the whole picture. */
  readonly right: number
  readonly down: number
}

/** Adam7: left, top, right, down. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
]

export function pngPasses({ width, height, interlaced }: PngForm): Pass[] {
  if (!interlaced) return [{ width, height, left: 0, top: 0, right: 1, down: 1 }]
  return ADAM7.map(([left, top, right, down]) => ({
    width: Math.ceil((width - left) / right),
    height: Math.ceil((height - top) / down),
    left,
    top,
    right,
    down,
  })).filter((pass) => pass.width > 0 && pass.height > 0)
}

export const rowBytes = ({ channels, depth }: PngForm, width: number): number =>
  Math.ceil((width * channels * depth) / 8)

/** In place; both rows are led by their filter's byte, and the row before the first is zeros. */
export function unfilter({ channels, depth }: PngForm, row: Uint8Array, above: Uint8Array): void {
  const step = Math.max(1, (channels * depth) / 8)
  const filter = row[0]
  // The byte of the row above the first is a filter too, not a sample.
  switch (filter) {
    case 0:
      return
    case 1:
      for (let i = 1 + step; i < row.length; i++) row[i] += row[i - step]
      return
    case 2:
      for (let i = 1; i < row.length; i++) row[i] += above[i]
      return
    case 3:
      for (let i = 1; i < row.length; i++) row[i] += ((i > step ? row[i - step] : 0) + above[i]) >> 1
      return
    case 4:
      for (let i = 1; i < row.length; i++) {
        row[i] += i > step ? paeth(row[i - step], above[i], above[i - step]) : above[i]
      }
      return
    default:
      throw broken(`a row has filter ${filter}, and there is none of that number`)
  }
}

function paeth(left: number, up: number, upperLeft: number): number {
  const guess = left + up - upperLeft
  const byLeft = Math.abs(guess - left)
  const byUp = Math.abs(guess - up)
  const byUpperLeft = Math.abs(guess - upperLeft)
  if (byLeft <= byUp && byLeft <= byUpperLeft) return left
  return byUp <= byUpperLeft ? up : upperLeft
}

/** @param rgba [4 * width] at least; filled */
export function toRgba(form: PngForm, row: Uint8Array, width: number, rgba: Uint8Array): void {
  if (form.colour === 3) fromPalette(form, row, width, rgba)
  else if (form.channels <= 2) fromGrey(form, row, width, rgba)
  else fromRgb(form, row, width, rgba)
}

/** The sample as the file has it, 0 to 2^depth - 1. */
function sampleAt(row: Uint8Array, depth: number, index: number): number {
  if (depth === 8) return row[index]
  if (depth === 16) return row[2 * index] * 256 + row[2 * index + 1]
  const perByte = 8 / depth
  const shift = 8 - depth * (1 + (index % perByte))
  return (row[Math.floor(index / perByte)] >> shift) & ((1 << depth) - 1)
}

/** The same on 0 to 255, rounded. */
const to8Bits = (sample: number, depth: number): number =>
  depth === 8 ? sample : depth === 16 ? (sample * 255 + 32_895) >> 16 : (sample * 255) / ((1 << depth) - 1)

function fromPalette(
  { depth, palette, transparency }: PngForm,
  row: Uint8Array,
  width: number,
  rgba: Uint8Array,
) {
  for (let x = 0; x < width; x++) {
    const entry = sampleAt(row, depth, x)
    if (3 * entry >= palette.length) throw broken('a pixel has a colour that its palette lacks')
    rgba[4 * x] = palette[3 * entry]
    rgba[4 * x + 1] = palette[3 * entry + 1]
    rgba[4 * x + 2] = palette[3 * entry + 2]
    rgba[4 * x + 3] = transparency?.[entry] ?? 255
  }
}

const colourAt = (transparency: Uint8Array, channel: number): number =>
  transparency[2 * channel] * 256 + transparency[2 * channel + 1]

function fromGrey(
  { channels, depth, transparency }: PngForm,
  row: Uint8Array,
  width: number,
  rgba: Uint8Array,
) {
  const clear = channels === 1 && transparency?.length === 2 ? colourAt(transparency, 0) : -1
  for (let x = 0; x < width; x++) {
    const sample = sampleAt(row, depth, channels * x)
    rgba.fill(to8Bits(sample, depth), 4 * x, 4 * x + 3)
    rgba[4 * x + 3] =
      channels === 2 ? to8Bits(sampleAt(row, depth, 2 * x + 1), depth) : sample === clear ? 0 : 255
  }
}

function fromRgb(
  { channels, depth, transparency }: PngForm,
  row: Uint8Array,
  width: number,
  rgba: Uint8Array,
) {
  const clear =
    channels === 3 && transparency?.length === 6 ? [0, 1, 2].map((c) => colourAt(transparency, c)) : null
  for (let x = 0; x < width; x++) {
    let isClear = clear !== null
    for (let c = 0; c < 3; c++) {
      const sample = sampleAt(row, depth, channels * x + c)
      if (clear !== null && sample !== clear[c]) isClear = false
      rgba[4 * x + c] = to8Bits(sample, depth)
    }
    rgba[4 * x + 3] = channels === 4 ? to8Bits(sampleAt(row, depth, 4 * x + 3), depth) : isClear ? 0 : 255
  }
}
