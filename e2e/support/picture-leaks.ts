/**
 * Looks for a person's pictures in what a tab sent: any 47 bytes in a row of an encoded file; a third of any row of pixels as the model
 * sees them, as bytes (RGB, RGBA or one channel), as 16- or 32-bit floats (0 to 1, -1 to 1 or 0 to 255; either byte order) or written
 * as decimals; captions and names of files. All of it as it is or in base64 (any alignment, plain or URL-safe).
 *
 * What could stand anywhere, such as a row of white, is not looked for: a stretch must have a few different values.
 */
import { float32ToFloat16Bits } from '../../models/formats/half.ts'
import type { Leak } from './leaks.ts'

export interface PictureSecret {
  readonly name: string
  readonly caption: string
  /** The file as the person had it; empty where there is none. */
  readonly file: Uint8Array
  readonly side: number
  /** RGB [side * side * 3]. */
  readonly pixels: Uint8Array
}

const FILE_WINDOW = 24
/** Pixels of a row that are looked for together. */
const PIXELS = 10
/** Different values that a stretch must have. */
const VARIETY = 6
const MIN_WORDS = 8
const MIN_BASE64_CHARACTERS = 32

type Needles = Map<string, string>

interface Encoding {
  readonly name: string
  readonly needles: Needles
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const hasVariety = (values: ArrayLike<number>): boolean => new Set(Array.from(values)).size >= VARIETY

const SCALES = [
  { name: '0 to 1', of: (pixel: number) => pixel / 255 },
  { name: '-1 to 1', of: (pixel: number) => pixel / 127.5 - 1 },
  { name: '0 to 255', of: (pixel: number) => pixel },
]

const FLOATS = [
  {
    name: 'float32 little-endian',
    width: 4,
    write: (b: Buffer, v: number, o: number) => b.writeFloatLE(v, o),
  },
  { name: 'float32 big-endian', width: 4, write: (b: Buffer, v: number, o: number) => b.writeFloatBE(v, o) },
  {
    name: 'float16 little-endian',
    width: 2,
    write: (b: Buffer, v: number, o: number) => b.writeUInt16LE(float32ToFloat16Bits(v), o),
  },
  {
    name: 'float16 big-endian',
    width: 2,
    write: (b: Buffer, v: number, o: number) => b.writeUInt16BE(float32ToFloat16Bits(v), o),
  },
]

/** Thirds of each row: RGB of PIXELS neighbours. */
function* stretches({ pixels, side }: PictureSecret): Generator<{ rgb: Uint8Array; where: string }> {
  for (let y = 0; y < side; y++) {
    for (let x = 0; x + PIXELS <= side; x += PIXELS) {
      const from = 3 * (y * side + x)
      yield { rgb: pixels.subarray(from, from + 3 * PIXELS), where: `row ${y}, from pixel ${x}` }
    }
  }
}

export class PictureLeakSearch {
  readonly #encodings = new Map<string, Encoding>()
  /** Runs of decimals, joined by commas. */
  readonly #decimals: Needles = new Map()

  constructor(secrets: readonly PictureSecret[]) {
    for (const secret of secrets) {
      this.#addFile(secret)
      this.#addWords(secret)
      for (const { rgb, where } of stretches(secret)) this.#addStretch(rgb, `${secret.name}, ${where}`)
    }
  }

  #add(encoding: string, needle: string, found: string): void {
    const entry = this.#encodings.get(`${encoding} ${needle.length}`) ?? {
      name: encoding,
      needles: new Map(),
    }
    entry.needles.set(needle, found)
    this.#encodings.set(`${encoding} ${needle.length}`, entry)
  }

  #addFile({ name, file }: PictureSecret): void {
    for (let i = 0; i + FILE_WINDOW <= file.length; i += FILE_WINDOW) {
      const window = file.subarray(i, i + FILE_WINDOW)
      if (hasVariety(window)) this.#add('encoded file', latin1(window), `${name}, byte ${i}`)
    }
  }

  #addWords({ name, caption }: PictureSecret): void {
    for (const words of [name, caption]) {
      if (words.length < MIN_WORDS) continue
      this.#add('words in UTF-8', latin1(Buffer.from(words)), words)
      this.#add('words in UTF-16', latin1(Buffer.from(words, 'utf16le')), words)
    }
  }

  #addStretch(rgb: Uint8Array, where: string): void {
    if (!hasVariety(rgb)) return
    this.#add('bytes RGB', latin1(rgb), where)
    const rgba = Uint8Array.from({ length: 4 * PIXELS }, (_, i) =>
      i % 4 === 3 ? 255 : rgb[3 * (i >> 2) + (i % 4)],
    )
    this.#add('bytes RGBA', latin1(rgba), where)
    this.#decimals.set(rgb.join(','), where)
    this.#addFloats(rgb, where)
    for (const channel of [0, 1, 2]) {
      const values = Uint8Array.from({ length: PIXELS }, (_, i) => rgb[3 * i + channel])
      if (!hasVariety(values)) continue
      this.#add('bytes of a channel', latin1(values), where)
      this.#addFloats(values, where)
    }
  }

  #addFloats(values: Uint8Array, where: string): void {
    for (const scale of SCALES) {
      for (const { name, width, write } of FLOATS) {
        const bytes = Buffer.alloc(values.length * width)
        for (const [i, value] of values.entries()) write(bytes, Math.fround(scale.of(value)), i * width)
        this.#add(`${name} ${scale.name}`, latin1(bytes), where)
      }
    }
  }

  /** The first leak in each encoding; empty if there is none. */
  find(sent: Iterable<Buffer>): Leak[] {
    const leaks = new Map<string, Leak>()
    const add = (encoding: string, found: string) => {
      if (!leaks.has(encoding)) leaks.set(encoding, { secret: 'pictures', encoding, found })
    }
    for (const bytes of sent) {
      this.#scan(bytes, '', add)
      for (const [run] of bytes.toString('latin1').matchAll(/[A-Za-z0-9+/_-]{32,}/g)) {
        for (let offset = 0; offset < 4 && run.length - offset >= MIN_BASE64_CHARACTERS; offset++) {
          this.#scan(Buffer.from(run.slice(offset), 'base64'), ' in base64', add)
        }
      }
    }
    return [...leaks.values()]
  }

  #scan(bytes: Buffer, via: string, add: (encoding: string, found: string) => void): void {
    const text = bytes.toString('latin1')
    for (const [key, { name, needles }] of this.#encodings) {
      const length = Number(key.slice(key.lastIndexOf(' ') + 1))
      for (let i = 0; i + length <= text.length; i++) {
        const found = needles.get(text.substring(i, i + length))
        if (found !== undefined) add(`${name}${via}`, found)
      }
    }
    for (const [run] of text.matchAll(/\d{1,3}(?:[,\s]+\d{1,3}){29,}/g)) {
      const numbers = run.split(/[,\s]+/)
      for (let i = 0; i + 3 * PIXELS <= numbers.length; i++) {
        const found = this.#decimals.get(numbers.slice(i, i + 3 * PIXELS).join(','))
        if (found !== undefined) add(`decimals${via}`, found)
      }
    }
  }
}
