/**
 * One scan of a JPEG: coefficients of some components' blocks, sequential or progressive, T.81 annexes F and G. Where only each
 * block's mean is wanted (`stride` 1) the other coefficients are read over, and scans that hold nothing else are not read.
 */
import type { BitReader, HuffmanTable } from './jpeg-huffman.ts'
import { broken } from './picture-errors.ts'

/** Of the 8 x 8 coefficients in the order of the file, where each stands: row * 8 + column. */
export const ZIGZAG = Uint8Array.from([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
  53, 60, 61, 54, 47, 55, 62, 63,
])

export interface Component {
  readonly id: number
  /** Blocks of an interleaved unit, 1 to 4 each way. */
  readonly h: number
  readonly v: number
  /** Number of its quantisation table. */
  readonly table: number
  /** Blocks that the picture needs, and those that are stored in a row: whole units. */
  readonly blocksWide: number
  readonly blocksHigh: number
  readonly storedWide: number
  /** [stored blocks * stride] */
  readonly coefficients: Int16Array
}

export interface Scan {
  readonly parts: readonly { component: Component; dc: HuffmanTable | null; ac: HuffmanTable | null }[]
  /** First and last coefficient, and the bits it refines. */
  readonly first: number
  readonly last: number
  readonly high: number
  readonly low: number
  readonly progressive: boolean
  /** Units between restarts; 0: none. */
  readonly restartInterval: number
  /** Interleaved units of the picture. */
  readonly unitsWide: number
  readonly unitsHigh: number
  /** Coefficients kept of a block: 64, or 1. */
  readonly stride: 1 | 64
}

const table = (found: HuffmanTable | null): HuffmanTable => {
  if (found === null) throw broken('a table of its codes is missing')
  return found
}

/** How many blocks the scan visits. */
export function scanBlocks({ parts, unitsWide, unitsHigh }: Scan): number {
  if (parts.length === 1) return parts[0].component.blocksWide * parts[0].component.blocksHigh
  return unitsWide * unitsHigh * parts.reduce((sum, { component }) => sum + component.h * component.v, 0)
}

/** Reads the scan's blocks into their components. Throws PictureError `picture/broken`. */
export function readScan(scan: Scan, bits: BitReader): void {
  const blocks = new BlockReader(scan, bits)
  const units = (wide: number, high: number, read: (x: number, y: number) => void) => {
    let left = scan.restartInterval
    for (let y = 0; y < high; y++) {
      for (let x = 0; x < wide; x++) {
        if (scan.restartInterval > 0 && left-- === 0) {
          bits.check()
          bits.restart()
          blocks.restart()
          left = scan.restartInterval - 1
        }
        read(x, y)
      }
      bits.check()
    }
  }
  if (scan.parts.length === 1) {
    const { component } = scan.parts[0]
    units(component.blocksWide, component.blocksHigh, (x, y) => blocks.read(0, x, y))
    return
  }
  units(scan.unitsWide, scan.unitsHigh, (unitX, unitY) => {
    for (let part = 0; part < scan.parts.length; part++) {
      const { h, v } = scan.parts[part].component
      for (let y = 0; y < v; y++) for (let x = 0; x < h; x++) blocks.read(part, unitX * h + x, unitY * v + y)
    }
  })
}

class BlockReader {
  readonly #scan: Scan
  readonly #bits: BitReader
  /** By component: the latest mean, from which the next one differs. */
  readonly #means: number[]
  /** Blocks to come that have nothing in this band. */
  #emptyBlocks = 0

  constructor(scan: Scan, bits: BitReader) {
    this.#scan = scan
    this.#bits = bits
    this.#means = scan.parts.map(() => 0)
  }

  restart(): void {
    this.#means.fill(0)
    this.#emptyBlocks = 0
  }

  read(part: number, x: number, y: number): void {
    const { component, dc, ac } = this.#scan.parts[part]
    const { progressive, first, high, stride } = this.#scan
    const at = (y * component.storedWide + x) * stride
    const { coefficients } = component
    if (!progressive) {
      coefficients[at] = this.#mean(part, table(dc))
      this.#sequential(coefficients, at, table(ac))
    } else if (first === 0) {
      if (high === 0) coefficients[at] = this.#mean(part, table(dc)) << this.#scan.low
      else coefficients[at] |= this.#bits.bits(1) << this.#scan.low
    } else if (high === 0) this.#band(coefficients, at, table(ac))
    else this.#refineBand(coefficients, at, table(ac))
  }

  #mean(part: number, dc: HuffmanTable): number {
    const length = this.#bits.symbol(dc)
    if (length > 15) throw broken('a difference of its blocks is too long')
    this.#means[part] += this.#bits.signed(length)
    return this.#means[part]
  }

  #sequential(coefficients: Int16Array, at: number, ac: HuffmanTable): void {
    const keep = this.#scan.stride === 64
    for (let k = 1; k < 64; k++) {
      const symbol = this.#bits.symbol(ac)
      const length = symbol & 15
      if (length === 0) {
        if (symbol !== 0xf0) return
        k += 15
        continue
      }
      k += symbol >> 4
      const value = this.#bits.signed(length)
      if (k > 63) throw broken('a block has more than its 64 numbers')
      if (keep) coefficients[at + ZIGZAG[k]] = value
    }
  }

  #band(coefficients: Int16Array, at: number, ac: HuffmanTable): void {
    if (this.#emptyBlocks > 0) {
      this.#emptyBlocks -= 1
      return
    }
    const { last, low } = this.#scan
    for (let k = this.#scan.first; k <= last; k++) {
      const symbol = this.#bits.symbol(ac)
      const run = symbol >> 4
      const length = symbol & 15
      if (length === 0) {
        if (run < 15) {
          this.#emptyBlocks = (1 << run) - 1 + this.#bits.bits(run)
          return
        }
        k += 15
        continue
      }
      k += run
      const value = this.#bits.signed(length)
      if (k > 63) throw broken('a block has more than its 64 numbers')
      coefficients[at + ZIGZAG[k]] = value << low
    }
  }

  /** One more bit of what is not zero, and what becomes so with this bit (T.81, G.1.2.3). */
  #refineBand(coefficients: Int16Array, at: number, ac: HuffmanTable): void {
    const { last, low } = this.#scan
    const one = 1 << low
    let k = this.#scan.first
    if (this.#emptyBlocks === 0) {
      for (; k <= last; k++) {
        const symbol = this.#bits.symbol(ac)
        let run = symbol >> 4
        const length = symbol & 15
        let value = 0
        if (length === 0) {
          if (run < 15) {
            this.#emptyBlocks = (1 << run) + this.#bits.bits(run)
            break
          }
        } else {
          if (length !== 1) throw broken('a refined number has more than one bit')
          value = this.#bits.bits(1) === 1 ? one : -one
        }
        for (; k <= last; k++) {
          const place = at + ZIGZAG[k]
          if (coefficients[place] !== 0) this.#refine(coefficients, place, one)
          else if (run === 0) break
          else run -= 1
        }
        if (value !== 0 && k <= last) coefficients[at + ZIGZAG[k]] = value
      }
    }
    if (this.#emptyBlocks === 0) return
    for (; k <= last; k++) {
      const place = at + ZIGZAG[k]
      if (coefficients[place] !== 0) this.#refine(coefficients, place, one)
    }
    this.#emptyBlocks -= 1
  }

  #refine(coefficients: Int16Array, place: number, one: number): void {
    if (this.#bits.bits(1) === 0) return
    coefficients[place] += coefficients[place] > 0 ? one : -one
  }
}
