/**
 * What a GGUF file holds, without its weights: metadata and the tensors' descriptions, versions 2 and 3,
 * little endian. Every count is compared with the bytes that are there before it is believed.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { GgufCursor, malformedGguf } from './gguf-cursor.ts'
import { ggufType } from './gguf-types.ts'

export type GgufScalar = number | bigint | boolean | string
/** 64-bit integers beyond 2^53 are bigint, all others number. */
export type GgufValue = GgufScalar | readonly GgufValue[]

export interface GgufTensor {
  readonly name: string
  /** As ggml calls it: F32, Q4_0, Q6_K. */
  readonly type: string
  /** Rows first, as in safetensors: the file lists dimensions in the opposite order. */
  readonly shape: readonly number[]
  /** Where its bytes begin in the file. */
  readonly begin: number
  readonly bytes: number
}

export interface GgufHeader {
  readonly version: 2 | 3
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** In the file's order. */
  readonly tensors: readonly GgufTensor[]
}

const MAGIC = 'GGUF'
const DEFAULT_ALIGNMENT = 32
const MAX_KEY_BYTES = 65_535
const MAX_NAME_BYTES = 64
const MAX_DIMENSIONS = 4
/** Arrays in arrays; no known file goes beyond one. */
const MAX_ARRAY_DEPTH = 4
/** Chat templates and vocabularies are the longest strings; no known one has a megabyte. */
const MAX_STRING_BYTES = 16_000_000

/** Key length, type and the shortest value. */
const MIN_ENTRY_BYTES = 8 + 4 + 1
/** Name length, dimension count, one dimension, type and offset. */
const MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8

/** Metadata types by the number a file names them with, and the fewest bytes one value takes. */
const UINT8 = 0
const INT8 = 1
const UINT16 = 2
const INT16 = 3
const UINT32 = 4
const INT32 = 5
const FLOAT32 = 6
const BOOL = 7
const STRING = 8
const ARRAY = 9
const UINT64 = 10
const INT64 = 11
const FLOAT64 = 12
const MIN_VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8]

const quote = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)

const asNumber = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value

function readValue(cursor: GgufCursor, type: number, what: string, depth: number): GgufValue {
  switch (type) {
    case UINT8:
      return cursor.u8(what)
    case INT8:
      return cursor.i8(what)
    case UINT16:
      return cursor.u16(what)
    case INT16:
      return cursor.i16(what)
    case UINT32:
      return cursor.u32(what)
    case INT32:
      return cursor.i32(what)
    case FLOAT32:
      return cursor.f32(what)
    case BOOL: {
      const byte = cursor.u8(what)
      if (byte > 1) throw malformedGguf(`${what} is a bool of ${byte}`)
      return byte === 1
    }
    case STRING:
      return cursor.string(MAX_STRING_BYTES, what)
    case ARRAY:
      return readArray(cursor, what, depth)
    case UINT64:
      return asNumber(cursor.u64(what))
    case INT64:
      return asNumber(cursor.i64(what))
    case FLOAT64:
      return cursor.f64(what)
    default:
      throw malformedGguf(`${what} has the unknown type ${type}`)
  }
}

function readArray(cursor: GgufCursor, what: string, depth: number): GgufValue[] {
  if (depth >= MAX_ARRAY_DEPTH) throw malformedGguf(`${what} nests arrays more than ${MAX_ARRAY_DEPTH} deep`)
  const type = cursor.u32(what)
  const bytesEach = MIN_VALUE_BYTES[type]
  if (bytesEach === undefined) throw malformedGguf(`${what} is an array of the unknown type ${type}`)
  const count = cursor.count(bytesEach, what)
  const values: GgufValue[] = []
  for (let i = 0; i < count; i++) values.push(readValue(cursor, type, what, depth + 1))
  return values
}

function readMetadata(
  cursor: GgufCursor,
  count: number,
): { metadata: Map<string, GgufValue>; alignment: number } {
  const metadata = new Map<string, GgufValue>()
  let alignment = DEFAULT_ALIGNMENT
  for (let i = 0; i < count; i++) {
    const key = cursor.string(MAX_KEY_BYTES, `the key of metadata entry ${i + 1}`)
    if (metadata.has(key)) throw malformedGguf(`it has the metadata key ${quote(key)} twice`)
    const type = cursor.u32(`the type of ${quote(key)}`)
    const value = readValue(cursor, type, `metadata ${quote(key)}`, 0)
    metadata.set(key, value)
    if (key === 'general.alignment') alignment = alignmentFrom(type, value)
  }
  return { metadata, alignment }
}

function alignmentFrom(type: number, value: GgufValue): number {
  if (type !== UINT32 || typeof value !== 'number') throw malformedGguf('general.alignment is not a u32')
  if (value < 8 || !Number.isInteger(Math.log2(value))) {
    throw malformedGguf(`general.alignment is ${value}, not a power of two of at least 8`)
  }
  return value
}

interface TensorInfo extends Omit<GgufTensor, 'begin'> {
  /** From the start of the data. */
  readonly offset: number
}

function readTensorInfo(cursor: GgufCursor, index: number, alignment: number): TensorInfo {
  const name = cursor.string(MAX_NAME_BYTES, `the name of tensor ${index + 1}`)
  const what = `tensor ${quote(name)}`
  const dimensions = cursor.u32(what)
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw malformedGguf(`${what} has ${dimensions} dimensions; 1 to ${MAX_DIMENSIONS} are allowed`)
  }
  const sizes: number[] = []
  for (let axis = 0; axis < dimensions; axis++) {
    const size = asNumber(cursor.u64(what))
    if (typeof size !== 'number' || size < 1) throw malformedGguf(`${what} has a dimension of ${size}`)
    sizes.push(size)
  }
  const typeId = cursor.u32(what)
  const type = ggufType(typeId)
  if (!type) throw malformedGguf(`${what} has the unknown type ${typeId}`)
  if (sizes[0] % type.blockWeights !== 0) {
    throw malformedGguf(
      `${what} has rows of ${sizes[0]}, and ${type.name} comes in blocks of ${type.blockWeights}`,
    )
  }
  const weights = sizes.reduce((product, size) => product * BigInt(size), 1n)
  const bytes = (weights / BigInt(type.blockWeights)) * BigInt(type.blockBytes)
  const offset = asNumber(cursor.u64(what))
  if (bytes > Number.MAX_SAFE_INTEGER || typeof offset !== 'number') {
    throw malformedGguf(`${what} claims more bytes than any file has`)
  }
  if (offset % alignment !== 0) {
    throw malformedGguf(`${what} begins at ${offset} of the data, not at a multiple of ${alignment}`)
  }
  return { name, type: type.name, shape: sizes.reverse(), bytes: Number(bytes), offset }
}

/** Inside the file, none over another; their order is free. */
function checkPlaces(tensors: readonly TensorInfo[], dataBytes: number): void {
  const ordered = [...tensors].sort((x, y) => x.offset - y.offset)
  let free = 0
  for (const { name, offset, bytes } of ordered) {
    if (offset < free) throw malformedGguf(`tensor ${quote(name)} begins inside another`)
    free = offset + bytes
    if (free > dataBytes) throw malformedGguf(`tensor ${quote(name)} ends past the end of the file`)
  }
}

/**
 * @param start the file's first bytes, or all of them
 * @param fileBytes of the whole file
 * @throws FormatError `gguf/malformed`; MoreBytesNeeded when the header goes on past `start`
 */
export function parseGgufHeader(start: Uint8Array, fileBytes: number): GgufHeader {
  const cursor = new GgufCursor(start, fileBytes)
  const magic = String.fromCharCode(...cursor.bytes(4, 'its first four bytes'))
  if (magic !== MAGIC) throw malformedGguf('it does not begin with GGUF')
  const version = cursor.u32('its version')
  if (version > 0xffff) throw malformedGguf('it was written big endian; convert it to little endian')
  if (version !== 2 && version !== 3) throw malformedGguf(`it is of version ${version}; 2 and 3 are read`)
  const tensorCount = cursor.count(MIN_TENSOR_BYTES, 'the number of tensors')
  const entryCount = cursor.count(MIN_ENTRY_BYTES, 'the number of metadata entries')

  const { metadata, alignment } = readMetadata(cursor, entryCount)
  const infos: TensorInfo[] = []
  const names = new Set<string>()
  for (let i = 0; i < tensorCount; i++) {
    const info = readTensorInfo(cursor, i, alignment)
    if (names.has(info.name)) throw malformedGguf(`two tensors are named ${quote(info.name)}`)
    names.add(info.name)
    infos.push(info)
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment
  checkPlaces(infos, fileBytes - dataStart)
  const tensors = infos.map(({ offset, ...info }) => ({ ...info, begin: dataStart + offset }))
  return { version, metadata, tensors }
}
