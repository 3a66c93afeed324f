/**
 * Looks for a person's text in what a tab sent: any 24 characters of it in UTF-8, UTF-16 (either byte order, at
 * any offset) or base64 of any of these (any alignment, plain or URL-safe), and any eight of its token ids in a
 * row as 16- or 32-bit numbers (either byte order, at any offset) or written as decimals. An accidental match of
 * that length does not happen: 24 characters carry over 40 bits even in English, and updates are small.
 */
export const WINDOW_CHARACTERS = 24
export const WINDOW_TOKENS = 8

export interface Secret {
  readonly name: string
  readonly text: string
  readonly tokens: ArrayLike<number>
}

export interface Leak {
  readonly secret: string
  readonly encoding: string
  /** The text or the token ids that were found. */
  readonly found: string
}

interface Needle {
  readonly secret: string
  readonly found: string
}

type Needles = Map<string, Needle>

/** Numbers of `width` bytes, and the first bytes of a run of them as a string of one character a byte. */
const NUMBER_ENCODINGS = [
  { name: 'u16 little-endian', width: 2, write: (b: Buffer, v: number, o: number) => b.writeUInt16LE(v, o) },
  { name: 'u16 big-endian', width: 2, write: (b: Buffer, v: number, o: number) => b.writeUInt16BE(v, o) },
  { name: 'u32 little-endian', width: 4, write: (b: Buffer, v: number, o: number) => b.writeUInt32LE(v, o) },
  { name: 'u32 big-endian', width: 4, write: (b: Buffer, v: number, o: number) => b.writeUInt32BE(v, o) },
]

const MIN_BASE64_CHARACTERS = 32

function slide(haystack: string, length: number, needles: Needles, onFound: (needle: Needle) => void): void {
  for (let i = 0; i + length <= haystack.length; i++) {
    const needle = needles.get(haystack.substring(i, i + length))
    if (needle !== undefined) onFound(needle)
  }
}

function swapped(bytes: Buffer): Buffer {
  return Buffer.from(bytes.subarray(0, bytes.length & ~1)).swap16()
}

export class LeakSearch {
  readonly #texts: Needles = new Map()
  readonly #numbers = NUMBER_ENCODINGS.map((encoding) => ({ ...encoding, needles: new Map() as Needles }))
  readonly #decimals: Needles = new Map()

  constructor(secrets: readonly Secret[]) {
    for (const { name: secret, text, tokens } of secrets) {
      for (let i = 0; i + WINDOW_CHARACTERS <= text.length; i++) {
        const found = text.substring(i, i + WINDOW_CHARACTERS)
        this.#texts.set(found, { secret, found })
      }
      for (let i = 0; i + WINDOW_TOKENS <= tokens.length; i++) {
        const run = Array.from({ length: WINDOW_TOKENS }, (_, k) => tokens[i + k])
        const needle = { secret, found: run.join(' ') }
        this.#decimals.set(run.join(','), needle)
        for (const { width, write, needles } of this.#numbers) {
          const bytes = Buffer.alloc(width * WINDOW_TOKENS)
          for (const [k, id] of run.entries()) write(bytes, id, k * width)
          needles.set(bytes.toString('latin1'), needle)
        }
      }
    }
  }

  /** The first leak in each encoding and of each secret; empty if there is none. */
  find(sent: Iterable<Buffer>): Leak[] {
    const leaks = new Map<string, Leak>()
    const add = (encoding: string) => (needle: Needle) => {
      const key = `${needle.secret} ${encoding}`
      if (!leaks.has(key)) leaks.set(key, { ...needle, encoding })
    }
    for (const bytes of sent) {
      this.#findText(bytes, '', add)
      this.#findBase64(bytes, add)
      this.#findTokens(bytes, add)
    }
    return [...leaks.values()]
  }

  #findText(bytes: Buffer, via: string, add: (encoding: string) => (needle: Needle) => void): void {
    slide(bytes.toString('utf8'), WINDOW_CHARACTERS, this.#texts, add(`UTF-8${via}`))
    for (const offset of [0, 1]) {
      const shifted = bytes.subarray(offset)
      slide(shifted.toString('utf16le'), WINDOW_CHARACTERS, this.#texts, add(`UTF-16LE${via}`))
      slide(swapped(shifted).toString('utf16le'), WINDOW_CHARACTERS, this.#texts, add(`UTF-16BE${via}`))
    }
  }

  /** Four characters are three bytes, so reading on from each of four characters gives every alignment. */
  #findBase64(bytes: Buffer, add: (encoding: string) => (needle: Needle) => void): void {
    for (const [run] of bytes.toString('latin1').matchAll(/[A-Za-z0-9+/_-]{32,}/g)) {
      for (let offset = 0; offset < 4 && run.length - offset >= MIN_BASE64_CHARACTERS; offset++) {
        const decoded = Buffer.from(run.slice(offset), 'base64')
        this.#findText(decoded, ' in base64', add)
      }
    }
  }

  #findTokens(bytes: Buffer, add: (encoding: string) => (needle: Needle) => void): void {
    const text = bytes.toString('latin1')
    for (const { name, width, needles } of this.#numbers) {
      slide(text, width * WINDOW_TOKENS, needles, add(`token ids as ${name}`))
    }
    for (const [run] of text.matchAll(/\d+(?:[,\s]+\d+){7,}/g)) {
      const ids = run.split(/[,\s]+/)
      for (let i = 0; i + WINDOW_TOKENS <= ids.length; i++) {
        const needle = this.#decimals.get(ids.slice(i, i + WINDOW_TOKENS).join(','))
        if (needle !== undefined) add('token ids as decimals')(needle)
      }
    }
  }
}
