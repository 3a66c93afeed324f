/**
 * The entropy-coded part of a JPEG, ITU-T T.81 annex F: bits with their stuffing, canonical Huffman codes, restarts. A read beyond
 * the data is told at the next `check`, not bit by bit: until then zeros come, and never a byte of the next segment.
 */
import { broken, endsEarly } from './picture-errors.ts'

/** Codes up to this length are looked up at once. */
const FAST_BITS = 8
const LONGEST_CODE = 16

export interface HuffmanTable {
  /** By the next 8 bits: length * 256 + symbol, or -1 where the code is longer or none. */
  readonly fast: Int16Array
  /** By length: the largest code, or -1. */
  readonly largest: Int32Array
  /** By length: what to add to a code to find its symbol. */
  readonly offset: Int32Array
  readonly symbols: Uint8Array
}

/** @param counts [16] how many codes there are of each length */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable {
  const fast = new Int16Array(1 << FAST_BITS).fill(-1)
  const largest = new Int32Array(LONGEST_CODE + 1).fill(-1)
  const offset = new Int32Array(LONGEST_CODE + 1)
  let code = 0
  let index = 0
  for (let length = 1; length <= LONGEST_CODE; length++) {
    const count = counts[length - 1]
    if (code + count > 1 << length) throw broken('a table of its codes is none')
    offset[length] = index - code
    if (length <= FAST_BITS) {
      const share = 1 << (FAST_BITS - length)
      for (let i = 0; i < count; i++) {
        fast.fill(length * 256 + symbols[index + i], (code + i) * share, (code + i + 1) * share)
      }
    }
    code += count
    index += count
    if (count > 0) largest[length] = code - 1
    code <<= 1
  }
  return { fast, largest, offset, symbols }
}

export class BitReader {
  readonly #bytes: Uint8Array
  /** Of the next byte to take in; never beyond a marker. */
  #position: number
  #buffer = 0
  #count = 0
  /** Bits of the buffer's end that the data do not have. */
  #missing = 0

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes
    this.#position = position
  }

  get position(): number {
    return this.#position
  }

  /** At least 17 bits in the buffer: the longest code, or the longest number and one more. */
  #fill(): void {
    while (this.#count <= 16) {
      let byte = 0
      const next = this.#bytes[this.#position]
      if (next === undefined) this.#missing += 8
      else if (next !== 0xff) {
        byte = next
        this.#position += 1
      } else if (this.#bytes[this.#position + 1] === 0) {
        byte = next
        this.#position += 2
      } else this.#missing += 8
      this.#buffer = (this.#buffer << 8) | byte
      this.#count += 8
    }
  }

  /** A number of `length` bits, 0 to 16. */
  bits(length: number): number {
    if (length === 0) return 0
    this.#fill()
    this.#count -= length
    return (this.#buffer >>> this.#count) & ((1 << length) - 1)
  }

  symbol({ fast, largest, offset, symbols }: HuffmanTable): number {
    this.#fill()
    const entry = fast[(this.#buffer >>> (this.#count - FAST_BITS)) & 255]
    if (entry >= 0) {
      this.#count -= entry >> 8
      return entry & 255
    }
    for (let length = FAST_BITS + 1; length <= LONGEST_CODE; length++) {
      const code = (this.#buffer >>> (this.#count - length)) & ((1 << length) - 1)
      if (code > largest[length]) continue
      this.#count -= length
      return symbols[code + offset[length]]
    }
    this.check()
    throw broken('its data have a code that its tables lack')
  }

  /** A number of `length` bits in T.81's signed form (F.2.2.1). */
  signed(length: number): number {
    if (length === 0) return 0
    const value = this.bits(length)
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value
  }

  /** @throws PictureError when more was read than there is */
  check(): void {
    if (this.#missing > this.#count) throw endsEarly()
  }

  /** Passes over the restart marker that must come now. */
  restart(): void {
    // Any number of 0xff may stand before a marker.
    while (this.#bytes[this.#position] === 0xff && this.#bytes[this.#position + 1] === 0xff)
      this.#position += 1
    const marker = this.#bytes[this.#position + 1]
    if (this.#bytes[this.#position] !== 0xff || !(marker >= 0xd0 && marker <= 0xd7)) {
      if (this.#position >= this.#bytes.length) throw endsEarly()
      throw broken('a restart of its data is missing')
    }
    this.#position += 2
    this.#buffer = 0
    this.#count = 0
    this.#missing = 0
  }
}
