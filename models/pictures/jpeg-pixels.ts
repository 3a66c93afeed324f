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

/** BASIS[8 * u + x] = c(u) / 2 * cos((2 x + 1) u pi / 16) */
const BASIS = Float64Array.from({ length: 64 }, (_, i) => {
  const [u, x] = [i >> 3, i & 7]
  if (u === 0) return HALF_COSINES[0]
  // The angle in sixteenths of pi, folded into 1..7 and a sign: an odd number times 1..7 is no multiple of 16.
  const angle = ((2 * x + 1) * u) % 32
  const folded = angle > 16 ? 32 - angle : angle
  if (folded === 8) return 0
  return folded < 8 ? HALF_COSINES[folded] : -HALF_COSINES[16 - folded]
})

/** The block at coefficients[at] as 8 x 8 samples around 0. */
function transformBack(
  coefficients: Int16Array,
  at: number,
  scale: Uint16Array,
  half: Float64Array,
  block: Float64Array,
) {
  for (let row = 0; row < 8; row++) {
    for (let x = 0; x < 8; x++) {
      let sum = 0
      for (let u = 0; u < 8; u++) {
        const value = coefficients[at + 8 * row + u]
        if (value !== 0) sum += value * scale[8 * row + u] * BASIS[8 * u + x]
      }
      half[8 * row + x] = sum
    }
  }
  for (let y = 0; y < 8; y++) {
    for (let x = 0; x < 8; x++) {
      let sum = 0
      for (let v = 0; v < 8; v++) sum += half[8 * v + x] * BASIS[8 * v + y]
      block[8 * y + x] = sum
    }
  }
}

function wholeSamples(plane: Plane): Omit<Samples, 'width' | 'height'> {
  const { storedWide, blocksHigh, coefficients, scale } = plane
  const rowLength = 8 * storedWide
  const values = new Uint8ClampedArray(rowLength * 8 * blocksHigh)
  const half = new Float64Array(64)
  const block = new Float64Array(64)
  for (let blockY = 0; blockY < blocksHigh; blockY++) {
    for (let blockX = 0; blockX < storedWide; blockX++) {
      transformBack(coefficients, 64 * (blockY * storedWide + blockX), scale, half, block)
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

/** Between which two samples, and how far from the first one in 1 / (2 * max), the middle of whole sample `index` lies. */
function between(
  index: number,
  own: number,
  max: number,
  last: number,
): { low: number; high: number; part: number } {
  const position = (2 * index + 1) * own - max
  const low = Math.floor(position / (2 * max))
  const clampTo = (sample: number) => Math.min(last, Math.max(0, sample))
  return { low: clampTo(low), high: clampTo(low + 1), part: position - low * 2 * max }
}

/** Row y of the whole picture: colours stored at half the size are drawn out by straight lines, as other programs do. */
function readLine(samples: Samples, y: number, line: Uint8ClampedArray): void {
  const { values, rowLength, width, height, h, v, maxH, maxV } = samples
  if (h === maxH && v === maxV) {
    line.set(values.subarray(y * rowLength, y * rowLength + line.length))
    return
  }
  const down = between(y, v, maxV, height - 1)
  const top = down.low * rowLength
  const bottom = down.high * rowLength
  const whole = 4 * maxH * maxV
  for (let x = 0; x < line.length; x++) {
    const { low, high, part } = between(x, h, maxH, width - 1)
    const upper = values[top + low] * (2 * maxH - part) + values[top + high] * part
    const lower = values[bottom + low] * (2 * maxH - part) + values[bottom + high] * part
    line[x] = Math.round((upper * (2 * maxV - down.part) + lower * down.part) / whole)
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
  const samples = planes.map((plane) => ({
    ...(span === 8 ? meanSamples(plane) : wholeSamples(plane)),
    width: Math.ceil((columns * plane.h) / plane.maxH),
    height: Math.ceil((rows * plane.v) / plane.maxV),
  }))
  const rgba = new Uint8Array(4 * columns).fill(255)
  const lines = samples.map(() => new Uint8ClampedArray(columns))
  const converts = planes.length === 3 ? isYCbCr(frame, adobe) : planes.length === 4 && adobe === 2
  for (let y = 0; y < rows; y++) {
    for (const [i, plane] of samples.entries()) readLine(plane, y, lines[i])
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
