/**
 * Random numbers that are the same bits in every engine and in any order of asking: Philox4x32-10, a
 * counter-based generator. Word i of a stream depends on key and i alone, so clients that never meet draw
 * the same initial adapter, and a checkpoint keeps one number.
 *
 * Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
 * https://doi.org/10.1145/2063384.2063405 ; test vectors from the authors' Random123 library.
 */
import { sha256 } from '../sha256.ts'

export type PhiloxCounter = readonly [number, number, number, number]
export type PhiloxKey = readonly [number, number]

const ROUNDS = 10
const MULTIPLIER_0 = 0xd2511f53
const MULTIPLIER_1 = 0xcd9e8d57
/** The key advances by the golden ratio and by sqrt(3) - 1, as fractions of 2^32. */
const WEYL_0 = 0x9e3779b9
const WEYL_1 = 0xbb67ae85

/** Upper 32 bits of a 64-bit product, by halves of 16 bits, each step below 2^32. */
function multiplyHigh(x: number, y: number): number {
  const xLow = x & 0xffff
  const xHigh = x >>> 16
  const yLow = y & 0xffff
  const yHigh = y >>> 16
  const middle = xHigh * yLow + ((xLow * yLow) >>> 16)
  const carried = xLow * yHigh + (middle & 0xffff)
  return (xHigh * yHigh + (middle >>> 16) + (carried >>> 16)) >>> 0
}

/** Writes the four words of one counter to out[0..3]. All words are unsigned 32-bit integers. */
export function philox4x32(counter: PhiloxCounter, key: PhiloxKey, out: Uint32Array): void {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0)
    const low0 = Math.imul(MULTIPLIER_0, c0)
    const high1 = multiplyHigh(MULTIPLIER_1, c2)
    const low1 = Math.imul(MULTIPLIER_1, c2)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + WEYL_0) >>> 0
    k1 = (k1 + WEYL_1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/**
 * The key of a named stream: the first 8 bytes of SHA-256(utf8(seed + "\n" + label)) as two little-endian
 * words. Labels keep streams of one seed apart.
 */
export function seedKey(seed: string, label: string): PhiloxKey {
  const digest = sha256(new TextEncoder().encode(`${seed}\n${label}`))
  const words = new DataView(digest.buffer, digest.byteOffset, 8)
  return [words.getUint32(0, true), words.getUint32(4, true)]
}

/** Words of one key in order: counter [0,0,0,0], [1,0,0,0], ..., four words each. */
export class RandomStream {
  readonly #key: PhiloxKey
  readonly #block = new Uint32Array(4)
  #drawn = 0

  constructor(seed: string, label: string) {
    this.#key = seedKey(seed, label)
  }

  /** A whole number from 0 to 2^32 - 1. */
  nextUint32(): number {
    const word = this.#drawn % 4
    if (word === 0) this.#fill()
    this.#drawn++
    return this.#block[word]
  }

  /** [0, 1) in steps of 2^-24, so that float32 holds it exactly. */
  nextFloat(): number {
    return (this.nextUint32() >>> 8) * 2 ** -24
  }

  /** How many words were drawn: with seed and label, all there is to keep. */
  state(): number {
    return this.#drawn
  }

  /** Continues as if `drawn` words had been drawn. */
  restore(drawn: number): void {
    if (!Number.isSafeInteger(drawn) || drawn < 0) throw new RangeError(`${drawn} is no state of a stream.`)
    this.#drawn = drawn
    if (drawn % 4 !== 0) this.#fill()
  }

  #fill(): void {
    const block = Math.floor(this.#drawn / 4)
    philox4x32([block >>> 0, Math.floor(block / 2 ** 32), 0, 0], this.#key, this.#block)
  }
}
