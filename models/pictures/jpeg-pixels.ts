/** From a JPEG's coefficients to RGBA: scaled, transformed back (T.81 A.3.3), colours by JFIF's and Adobe's conventions. */
import type { JpegFrame } from './jpeg-header.ts'

export interface Plane {
  readonly h: number
  readonly v: number
  readonly maxH: number
  readonly maxV: number
  readonly storedWide: number
  /** Stored rows of blocks. */
  readonly blocksHigh: number
  readonly coefficients: Int16Array
  /** [64] what coefficients are multiplied by. */
  readonly scale: Uint16Array
}

interface Samples {
  readonly values: Uint8ClampedArray
  readonly rowLength: number
  /** Samples a row that belong to the picture, and rows of them; what is stored beyond fills blocks up. */
  readonly width: number
  readonly height: number
  /** It has h samples where the whole picture has maxH in a row, and so down. */
  readonly h: number
  readonly v: number
  readonly maxH: number
  readonly maxV: number
}

/** cos(k pi / 16) / 2, and for k = 0 the 1 / sqrt(8) of a mean; written out, because engines may differ in Math.cos. */
const HALF_COSINES = [
  0.35355339059327373, 0.4903926402016152, 0.46193976625564337, 0.4157348061512726, 0.35355339059327373,
  0.27778511650980114, 0.19134171618254492, 0.09754516100806412,
]

const [C0, C1, C2, C3, , C5, C6, C7] = HALF_COSINES

/**
 * Eight coefficients, `step` apart from `at`, to eight samples in their place. The even ones give what samples x and 7 - x share,
 * the odd ones by what they differ.
 */
function transformLine(line: Float64Array, at: number, step: number): void {
  const first = C0 * line[at]
  const fifth = C0 * line[at + 4 * step]
  const second = line[at + step]
  const third = line[at + 2 * step]
  const fourth = line[at + 3 * step]
  const sixth = line[at + 5 * step]
  const seventh = line[at + 6 * step]
  const eighth = line[at + 7 * step]
  const sum = first + fifth
  const difference = first - fifth
  const wide = C2 * third + C6 * seventh
  const narrow = C6 * third - C2 * seventh
  const odd0 = C1 * second + C3 * fourth + C5 * sixth + C7 * eighth
  const odd1 = C3 * second - C7 * fourth - C1 * sixth - C5 * eighth
  const odd2 = C5 * second - C1 * fourth + C7 * sixth + C3 * eighth
  const odd3 = C7 * second - C5 * fourth + C3 * sixth - C1 * eighth
  line[at] = sum + wide + odd0
  line[at + step] = difference + narrow + odd1
  line[at + 2 * step] = difference - narrow + odd2
  line[at + 3 * step] = sum - wide + odd3
  line[at + 4 * step] = sum - wide - odd3
  line[at + 5 * step] = difference - narrow - odd2
  line[at + 6 * step] = difference + narrow - odd1
  line[at + 7 * step] = sum + wide - odd0
}

/** The block at coefficients[at] as 8 x 8 samples around 0. */
function transformBack(coefficients: Int16Array, at: number, scale: Uint16Array, block: Float64Array): void {
  for (let row = 0; row < 64; row += 8) {
    let any = 0
    for (let i = row; i < row + 8; i++) {
      any |= coefficients[at + i]
      block[i] = coefficients[at + i] * scale[i]
    }
    if (any !== 0) transformLine(block, row, 1)
  }
  for (let column = 0; column < 8; column++) transformLine(block, column, 8)
}

function wholeSamples(plane: Plane): Omit<Samples, 'width' | 'height'> {
  const { storedWide, blocksHigh, coefficients, scale } = plane
  const rowLength = 8 * storedWide
  const values = new Uint8ClampedArray(rowLength * 8 * blocksHigh)
  const block = new Float64Array(64)
  for (let blockY = 0; blockY < blocksHigh; blockY++) {
    for (let blockX = 0; blockX < storedWide; blockX++) {
      transformBack(coefficients, 64 * (blockY * storedWide + blockX), scale, block)
      for (let y = 0; y < 8; y++) {
        const to = (8 * blockY + y) * rowLength + 8 * blockX
        for (let x = 0; x < 8; x++) values[to + x] = Math.round(block[8 * y + x] + 128)
      }
    }
  }
  return { ...plane, values, rowLength }
}

/** A block's mean is an eighth of its first coefficient. */
function meanSamples(plane: Plane): Omit<Samples, 'width' | 'height'> {
  const { storedWide, coefficients, scale } = plane
  const values = new Uint8ClampedArray(coefficients.length)
  for (let i = 0; i < values.length; i++) values[i] = Math.round((coefficients[i] * scale[0]) / 8 + 128)
  return { ...plane, values, rowLength: storedWide }
}

/** Between which two samples, and how far from the first one in 1 / (2 * max), the middles of whole samples lie. */
interface Places {
  readonly low: Int32Array
  readonly high: Int32Array
  readonly part: Int32Array
}

function placesOf(count: number, own: number, max: number, last: number): Places {
  const places = { low: new Int32Array(count), high: new Int32Array(count), part: new Int32Array(count) }
  for (let i = 0; i < count; i++) {
    const position = (2 * i + 1) * own - max
    const low = Math.floor(position / (2 * max))
    places.low[i] = Math.min(last, Math.max(0, low))
    places.high[i] = Math.min(last, Math.max(0, low + 1))
    places.part[i] = position - low * 2 * max
  }
  return places
}

/**
 * Reads row y of the whole picture into a line: colours stored at half the size are drawn out by straight lines, as other programs
 * do.
 */
function lineReader(
  samples: Samples,
  columns: number,
  rows: number,
): (y: number, line: Uint8ClampedArray) => void {
  const { values, rowLength, width, height, h, v, maxH, maxV } = samples
  if (h === maxH && v === maxV) {
    return (y, line) => line.set(values.subarray(y * rowLength, y * rowLength + columns))
  }
  const { low, high, part } = placesOf(columns, h, maxH, width - 1)
  const down = placesOf(rows, v, maxV, height - 1)
  const whole = 4 * maxH * maxV
  return (y, line) => {
    const top = down.low[y] * rowLength
    const bottom = down.high[y] * rowLength
    const below = down.part[y]
    const above = 2 * maxV - below
    for (let x = 0; x < columns; x++) {
      const left = values[top + low[x]] * above + values[bottom + low[x]] * below
      const right = values[top + high[x]] * above + values[bottom + high[x]] * below
      line[x] = Math.round((left * (2 * maxH - part[x]) + right * part[x]) / whole)
    }
  }
}

const RED = 0x52
const GREEN = 0x47
const BLUE = 0x42

/** Whether three channels are brightness and two differences of colour, as in nearly all files. */
function isYCbCr({ components }: JpegFrame, adobe: number | null): boolean {
  if (adobe !== null) return adobe !== 0
  return !(components[0].id === RED && components[1].id === GREEN && components[2].id === BLUE)
}

const clamp = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : value)

/** JFIF's conversion in whole numbers of 2^-16, so that it rounds alike everywhere. */
function toRgb(y: number, cb: number, cr: number, rgba: Uint8Array, at: number): void {
  rgba[at] = clamp(y + ((91_881 * (cr - 128) + 32_768) >> 16))
  rgba[at + 1] = clamp(y + ((-22_554 * (cb - 128) - 46_802 * (cr - 128) + 32_768) >> 16))
  rgba[at + 2] = clamp(y + ((116_130 * (cb - 128) + 32_768) >> 16))
}

/** Printing colours without their profile: ink by ink, as viewers without colour management show them. */
function inkToRgb(black: number, rgba: Uint8Array, at: number): void {
  for (let c = 0; c < 3; c++) rgba[at + c] = Math.round((rgba[at + c] * black) / 255)
}

/** Hands out the rows; see OpenPicture. */
export function jpegColours(
  frame: JpegFrame,
  planes: readonly Plane[],
  adobe: number | null,
  span: number,
  sink: (y: number, rgba: Uint8Array) => void,
): void {
  const columns = Math.ceil(frame.width / span)
  const rows = Math.ceil(frame.height / span)
  const readers = planes.map((plane) => {
    const samples = {
      ...(span === 8 ? meanSamples(plane) : wholeSamples(plane)),
      width: Math.ceil((columns * plane.h) / plane.maxH),
      height: Math.ceil((rows * plane.v) / plane.maxV),
    }
    return lineReader(samples, columns, rows)
  })
  const rgba = new Uint8Array(4 * columns).fill(255)
  const lines = planes.map(() => new Uint8ClampedArray(columns))
  const converts = planes.length === 3 ? isYCbCr(frame, adobe) : planes.length === 4 && adobe === 2
  for (let y = 0; y < rows; y++) {
    for (const [i, read] of readers.entries()) read(y, lines[i])
    const [first, second, third, black] = lines
    for (let x = 0; x < columns; x++) {
      const at = 4 * x
      if (planes.length === 1) rgba.fill(first[x], at, at + 3)
      else if (converts) toRgb(first[x], second[x], third[x], rgba, at)
      else {
        rgba[at] = first[x]
        rgba[at + 1] = second[x]
        rgba[at + 2] = third[x]
      }
      if (planes.length < 4) continue
      // Adobe's programs store how much ink is left out, but for colours they convert; others how much there is.
      if (adobe === null || converts) for (let c = 0; c < 3; c++) rgba[at + c] = 255 - rgba[at + c]
      inkToRgb(adobe === null ? 255 - black[x] : black[x], rgba, at)
    }
    sink(y, rgba)
  }
}
