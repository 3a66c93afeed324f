/**
 * What a GGUF file says about itself: metadata and the list of tensors, without their data. For `inspect`.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md , versions 2 and 3, little endian.
 *
 * Only the header is read, so a file of many gigabytes is no burden; every count is checked against the bytes
 * that could hold it before anything is made of it.
 */
import { FormatError } from '../../models/errors.ts'

export type GgufValue = number | bigint | boolean | string | GgufArray

/** An array of metadata (a vocabulary, say) is described, not kept. */
export interface GgufArray {
  readonly elements: number
  readonly type: string
}

export interface GgufTensor {
  readonly name: string
  /** E.g. `Q4_K`; `type 99` where it is not known. */
  readonly dtype: string
  /** Rows first, as elsewhere here; the file lists the opposite order. */
  readonly shape: readonly number[]
  /** null where the type is not known. */
  readonly bytes: number | null
}

export interface GgufHeader {
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: readonly GgufTensor[]
}

/** A vocabulary of 262,144 with merges and scores takes 15 MB: a header over 64 MB is an attack. */
export const MAX_GGUF_HEADER_BYTES = 64 * 1024 * 1024

/** ggml's type number -> name, entries a block, bytes a block. */
const TENSOR_TYPES: Readonly<Record<number, readonly [name: string, entries: number, bytes: number]>> = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  9: ['Q8_1', 32, 36],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  15: ['Q8_K', 256, 292],
  24: ['I8', 1, 1],
  25: ['I16', 1, 2],
  26: ['I32', 1, 4],
  27: ['I64', 1, 8],
  28: ['F64', 1, 8],
  30: ['BF16', 1, 2],
}

/** Metadata's type numbers in order. */
const VALUE_TYPES = 'u8 i8 u16 i16 u32 i32 f32 bool string array u64 i64 f64'.split(' ')
const VALUE_BYTES: Readonly<Record<string, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  u64: 8,
  i64: 8,
  f64: 8,
}

/** Nested arrays are legal; deeper than this is an attack on the stack. */
const MAX_ARRAY_DEPTH = 4
const MAX_DIMENSIONS = 4
const MAX_NAME_CHARACTERS = 64

const malformed = (message: string) =>
  new FormatError('gguf/malformed', `This is not a valid GGUF file: ${message}; download it again.`)

export const isGguf = (start: Uint8Array): boolean =>
  start.length >= 4 && start[0] === 0x47 && start[1] === 0x47 && start[2] === 0x55 && start[3] === 0x46

/** Reads little-endian values one after the other, never past the end. */
class Cursor {
  readonly #view: DataView
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get at(): number {
    return this.#at
  }

  /** The place of the next `count` bytes, which are then behind. */
  skip(count: number): number {
    const from = this.#at
    if (!(count <= this.#bytes.length - from)) throw malformed('its header ends early')
    this.#at += count
    return from
  }

  u32(): number {
    return this.#view.getUint32(this.skip(4), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.skip(8), true)
  }

  /** A count of things that take at least `least` bytes each. */
  count(least: number): number {
    const value = this.u64()
    if (value * BigInt(least) > BigInt(this.#bytes.length - this.#at)) {
      throw malformed(`it claims ${value} entries where the header has no room for them`)
    }
    return Number(value)
  }

  string(): string {
    const length = this.count(1)
    const from = this.skip(length)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.#bytes.subarray(from, from + length))
    } catch {
      throw malformed('a text in its header is not UTF-8')
    }
  }

  value(type: number, depth = 0): GgufValue {
    const name = VALUE_TYPES[type]
    if (name === undefined) throw malformed(`it holds metadata of the unknown type ${type}`)
    if (name === 'string') return this.string()
    if (name === 'array') return this.array(depth)
    const at = this.skip(VALUE_BYTES[name])
    switch (name) {
      case 'u8':
        return this.#view.getUint8(at)
      case 'i8':
        return this.#view.getInt8(at)
      case 'u16':
        return this.#view.getUint16(at, true)
      case 'i16':
        return this.#view.getInt16(at, true)
      case 'u32':
        return this.#view.getUint32(at, true)
      case 'i32':
        return this.#view.getInt32(at, true)
      case 'f32':
        return this.#view.getFloat32(at, true)
      case 'u64':
        return this.#view.getBigUint64(at, true)
      case 'i64':
        return this.#view.getBigInt64(at, true)
      case 'f64':
        return this.#view.getFloat64(at, true)
      default:
        return this.#bool(at)
    }
  }

  array(depth: number): GgufArray {
    if (depth >= MAX_ARRAY_DEPTH) throw malformed('its metadata nest too deep')
    const type = this.u32()
    const name = VALUE_TYPES[type]
    if (name === undefined) throw malformed(`it holds an array of the unknown type ${type}`)
    const fixed = VALUE_BYTES[name]
    const elements = this.count(fixed ?? (name === 'string' ? 8 : 12))
    if (fixed !== undefined) this.skip(elements * fixed)
    else for (let i = 0; i < elements; i++) this.value(type, depth + 1)
    return { elements, type: name }
  }

  #bool(at: number): boolean {
    const byte = this.#view.getUint8(at)
    if (byte > 1) throw malformed('a yes-or-no value is neither')
    return byte === 1
  }
}

/**
 * @param start the file's first bytes, MAX_GGUF_HEADER_BYTES or the whole file if it is shorter
 * @param fileBytes the file's whole length, to check that the tensors lie inside
 * @throws FormatError `gguf/malformed`
 */
export function readGgufHeader(start: Uint8Array, fileBytes: number): GgufHeader {
  if (!isGguf(start)) throw malformed('it does not begin with GGUF')
  const cursor = new Cursor(start)
  cursor.skip(4)
  const version = cursor.u32()
  if (version !== 2 && version !== 3) {
    throw new FormatError(
      'gguf/unsupported',
      `This GGUF file has version ${version}; versions 2 and 3 can be read.`,
    )
  }
  // A tensor takes 24 bytes besides its name and dimensions, a piece of metadata 12 besides its key.
  const tensorCount = cursor.count(24)
  const metadataCount = cursor.count(13)
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.string()
    if (metadata.has(key)) throw malformed(`it names ${JSON.stringify(key.slice(0, 80))} twice`)
    metadata.set(key, cursor.value(cursor.u32()))
  }
  const tensors: PlacedTensor[] = []
  for (let i = 0; i < tensorCount; i++) tensors.push(readTensor(cursor))
  const alignment = alignmentOf(metadata)
  checkPlaces(tensors, Math.ceil(cursor.at / alignment) * alignment, alignment, fileBytes)
  return { version, metadata, tensors: tensors.map(({ offset: _, ...tensor }) => tensor) }
}

type PlacedTensor = GgufTensor & { readonly offset: number }

function readTensor(cursor: Cursor): PlacedTensor {
  const name = cursor.string()
  const quoted = JSON.stringify(name.slice(0, 80))
  if (name.length > MAX_NAME_CHARACTERS) throw malformed(`${quoted}... is too long a name`)
  const dimensions = cursor.u32()
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) throw malformed(`${quoted} has ${dimensions} dimensions`)
  const shape: number[] = []
  for (let i = 0; i < dimensions; i++) shape.unshift(safe(cursor.u64(), quoted))
  const type = cursor.u32()
  const offset = safe(cursor.u64(), quoted)
  const known = TENSOR_TYPES[type]
  if (!known) return { name, dtype: `type ${type}`, shape, bytes: null, offset }
  const [dtype, blockEntries, blockBytes] = known
  const row = shape.at(-1) ?? 1
  if (row % blockEntries !== 0) throw malformed(`${quoted} has rows of ${row}, which ${dtype} cannot divide`)
  const bytes = shape.reduce((product, size) => product * size, blockBytes / blockEntries)
  if (!Number.isSafeInteger(bytes)) throw malformed(`${quoted} is larger than any file`)
  return { name, dtype, shape, bytes, offset }
}

function safe(value: bigint, tensor: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`${tensor} is larger than any file`)
  return Number(value)
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? 32
  if (typeof alignment !== 'number' || !(alignment >= 8 && alignment <= 2 ** 16) || alignment % 8 !== 0) {
    throw malformed('its general.alignment is not a multiple of 8')
  }
  return alignment
}

/** Tensors lie at aligned places, one after the other, inside the file. */
function checkPlaces(
  tensors: readonly PlacedTensor[],
  start: number,
  alignment: number,
  fileBytes: number,
): void {
  const names = new Set<string>()
  let end = 0
  for (const { name, bytes, offset } of tensors.toSorted((x, y) => x.offset - y.offset)) {
    const quoted = JSON.stringify(name.slice(0, 80))
    if (names.has(name)) throw malformed(`it names ${quoted} twice`)
    names.add(name)
    if (offset % alignment !== 0) throw malformed(`${quoted} lies at an odd place`)
    if (offset < end) throw malformed(`${quoted} overlaps another tensor`)
    end = offset + (bytes ?? 0)
    if (start + end > fileBytes) throw malformed(`${quoted} lies beyond the end of the file`)
  }
}
