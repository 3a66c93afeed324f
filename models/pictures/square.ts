/**
 * From rows of any size to the square a model sees: the middle of the picture, each of its side x side pixels the mean of the area
 * it covers, over white where it is transparent. Means are of sRGB values as they stand in the file, and halves round to
 * even: with an edge of 2 * side this is the 2 x 2 block average by which the emoji data set was made.
 *
 * All sums are of whole numbers below 2^53, so the result is the same bits everywhere, in whatever order one would add.
 * Lengths are measured in 1 / (2 * side) of a pixel: every edge that matters lies on a whole number of these.
 */
export class SquareReducer {
  readonly #side: number
  readonly #height: number
  readonly #span: number
  readonly #crop: number
  readonly #columns: Overlaps
  readonly #sums: Float64Array
  readonly #row: Float64Array

  /** @param span see OpenPicture */
  constructor(width: number, height: number, side: number, span = 1) {
    this.#side = side
    this.#height = height
    this.#span = span
    this.#crop = Math.min(width, height)
    this.#columns = overlaps(width, this.#crop, side, span)
    this.#sums = new Float64Array(side * side * 3)
    this.#row = new Float64Array(side * 3)
  }

  /** Rows in any order, each once: ceil(width / span) samples of RGBA. */
  add(y: number, rgba: Uint8Array): void {
    const rows = overlap(y, this.#height, this.#crop, this.#side, this.#span)
    if (rows === null) return
    const { starts, targets, weights } = this.#columns
    const row = this.#row.fill(0)
    for (let x = 0; x + 1 < starts.length; x++) {
      if (starts[x] === starts[x + 1]) continue
      const alpha = rgba[4 * x + 3]
      const white = 255 * (255 - alpha)
      const red = rgba[4 * x] * alpha + white
      const green = rgba[4 * x + 1] * alpha + white
      const blue = rgba[4 * x + 2] * alpha + white
      for (let i = starts[x]; i < starts[x + 1]; i++) {
        const target = 3 * targets[i]
        const weight = weights[i]
        row[target] += weight * red
        row[target + 1] += weight * green
        row[target + 2] += weight * blue
      }
    }
    for (let target = rows.first; target <= rows.last; target++) {
      const weight = weightOn(rows, target, this.#crop)
      const offset = target * row.length
      for (let i = 0; i < row.length; i++) this.#sums[offset + i] += weight * row[i]
    }
  }

  /** [side * side * 3], turned as `orientation` says (Exif's 1 to 8). */
  finish(orientation = 1): Uint8Array {
    const side = this.#side
    // Each axis' weights add up to 2 * crop, and alpha's 255 is a factor too.
    const whole = 255 * (2 * this.#crop) ** 2
    const pixels = new Uint8Array(side * side * 3)
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const from = 3 * sourceIndex(x, y, side, orientation)
        for (let c = 0; c < 3; c++)
          pixels[3 * (y * side + x) + c] = roundHalfEven(this.#sums[from + c], whole)
      }
    }
    return pixels
  }
}

/** Where a sample lies, from the left of the crop, and the target pixels it touches. */
interface Overlap {
  readonly begin: number
  readonly end: number
  readonly first: number
  readonly last: number
}

/** For each sample x, the targets it touches are entries starts[x] to starts[x + 1]. */
interface Overlaps {
  readonly starts: Int32Array
  readonly targets: Int32Array
  readonly weights: Float64Array
}

function overlap(sample: number, length: number, crop: number, side: number, span: number): Overlap | null {
  const unit = 2 * side
  const left = side * (length - crop)
  const begin = Math.max(0, sample * span * unit - left)
  const end = Math.min(unit * crop, Math.min(length, (sample + 1) * span) * unit - left)
  if (end <= begin) return null
  const target = 2 * crop
  return { begin, end, first: Math.floor(begin / target), last: Math.ceil(end / target) - 1 }
}

/** How much of the target pixel the sample covers. */
const weightOn = ({ begin, end }: Overlap, target: number, crop: number): number =>
  Math.min(end, 2 * crop * (target + 1)) - Math.max(begin, 2 * crop * target)

function overlaps(length: number, crop: number, side: number, span: number): Overlaps {
  const samples = Math.ceil(length / span)
  const starts = new Int32Array(samples + 1)
  // Every boundary of targets adds at most one entry to the one that each sample has.
  const targets = new Int32Array(samples + side)
  const weights = new Float64Array(samples + side)
  let count = 0
  for (let sample = 0; sample < samples; sample++) {
    starts[sample] = count
    const touched = overlap(sample, length, crop, side, span)
    if (touched === null) continue
    for (let target = touched.first; target <= touched.last; target++) {
      targets[count] = target
      weights[count++] = weightOn(touched, target, crop)
    }
  }
  starts[samples] = count
  return { starts, targets, weights }
}

function roundHalfEven(sum: number, whole: number): number {
  let quotient = Math.floor(sum / whole)
  let rest = sum - quotient * whole
  // The division is rounded; the products are exact.
  if (rest < 0) {
    quotient -= 1
    rest += whole
  } else if (rest >= whole) {
    quotient += 1
    rest -= whole
  }
  if (2 * rest > whole || (2 * rest === whole && quotient % 2 === 1)) quotient += 1
  return quotient
}

/** Where pixel (x, y) of the picture as it is looked at stands in the file's. */
function sourceIndex(x: number, y: number, side: number, orientation: number): number {
  const far = side - 1
  switch (orientation) {
    case 2:
      return y * side + (far - x)
    case 3:
      return (far - y) * side + (far - x)
    case 4:
      return (far - y) * side + x
    case 5:
      return x * side + y
    case 6:
      return (far - x) * side + y
    case 7:
      return (far - x) * side + (far - y)
    case 8:
      return x * side + (far - y)
    default:
      return y * side + x
  }
}
