/**
 * Reads little-endian values from the start of a GGUF file, each checked against the bytes that are there.
 * The start may be a part of the file: running past it is then a request for more, not an error.
 */
import { FormatError } from '../errors.ts'
import { decodeUtf8, StrictJsonError } from './strict-json.ts'

export const malformedGguf = (message: string) =>
  new FormatError('gguf/malformed', `This is not a valid GGUF file: ${message}.`)

/** The reader needs the file's first `bytes` bytes at least. */
export class MoreBytesNeeded extends Error {
  readonly bytes: number

  constructor(bytes: number) {
    super(`${bytes} bytes are needed`)
    this.bytes = bytes
  }
}

export class GgufCursor {
  readonly #start: Uint8Array
  readonly #view: DataView
  readonly #fileBytes: number
  #position = 0

  constructor(start: Uint8Array, fileBytes: number) {
    this.#start = start
    this.#view = new DataView(start.buffer, start.byteOffset, start.byteLength)
    this.#fileBytes = fileBytes
  }

  get position(): number {
    return this.#position
  }

  /** In the whole file. */
  get remaining(): number {
    return this.#fileBytes - this.#position
  }

  /** Moves past `bytes` and returns where they begin. */
  #take(bytes: number, what: string): number {
    if (bytes > this.remaining) throw malformedGguf(`it ends inside ${what}`)
    const begin = this.#position
    if (begin + bytes > this.#start.length) throw new MoreBytesNeeded(begin + bytes)
    this.#position += bytes
    return begin
  }

  bytes(count: number, what: string): Uint8Array {
    const begin = this.#take(count, what)
    return this.#start.subarray(begin, begin + count)
  }

  u8 = (what: string) => this.#view.getUint8(this.#take(1, what))
  i8 = (what: string) => this.#view.getInt8(this.#take(1, what))
  u16 = (what: string) => this.#view.getUint16(this.#take(2, what), true)
  i16 = (what: string) => this.#view.getInt16(this.#take(2, what), true)
  u32 = (what: string) => this.#view.getUint32(this.#take(4, what), true)
  i32 = (what: string) => this.#view.getInt32(this.#take(4, what), true)
  f32 = (what: string) => this.#view.getFloat32(this.#take(4, what), true)
  f64 = (what: string) => this.#view.getFloat64(this.#take(8, what), true)
  u64 = (what: string) => this.#view.getBigUint64(this.#take(8, what), true)
  i64 = (what: string) => this.#view.getBigInt64(this.#take(8, what), true)

  /** A count of things of at least `bytesEach` bytes that must still fit into the file. */
  count(bytesEach: number, what: string): number {
    const count = this.u64(what)
    if (count * BigInt(bytesEach) > BigInt(this.remaining)) {
      throw malformedGguf(`it claims ${count} for ${what}, more than its ${this.#fileBytes} bytes can hold`)
    }
    return Number(count)
  }

  /** A length in bytes, then UTF-8. */
  string(maxBytes: number, what: string): string {
    const length = this.count(1, `the length of ${what}`)
    if (length > maxBytes)
      throw malformedGguf(`${what} has ${length} bytes, more than the ${maxBytes} allowed`)
    try {
      return decodeUtf8(this.bytes(length, what))
    } catch (error) {
      if (error instanceof StrictJsonError) throw malformedGguf(`${what} ${error.message}`)
      throw error
    }
  }
}
