/**
 * safetensors: 8 bytes of header length (u64, little endian), a JSON header, then the tensors' bytes.
 * https://huggingface.co/docs/safetensors (format) ; checks as in the reference library: the tensors cover
 * the data without gap or overlap, and every claim is compared with the bytes that are there before it is
 * believed. Tensors are views of the file; nothing is copied or allocated by what the header says.
 */
import { FormatError } from '../errors.ts'
import { type ByteSource, readExactly } from './byte-source.ts'
import { bfloat16ToFloat32, float16ToFloat32 } from './half.ts'
import { decodeUtf8, parseStrictJson, StrictJsonError } from './strict-json.ts'

const BYTES_PER_ELEMENT = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const

export type SafetensorsDType = keyof typeof BYTES_PER_ELEMENT

export interface SafetensorsTensor {
  readonly dtype: SafetensorsDType
  /** [] is a scalar; a dimension may be 0. */
  readonly shape: readonly number[]
  /** Row-major, little endian; a view that may begin at any byte. */
  readonly bytes: Uint8Array
}

export interface SafetensorsFile {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>
  readonly metadata: ReadonlyMap<string, string>
}

/** A header over 25 MB is an attack: the largest known model's is 1.5 MB. */
export const MAX_HEADER_BYTES = 25_000_000

/** header > entry > shape. */
const MAX_HEADER_DEPTH = 3

const malformed = (message: string) =>
  new FormatError('safetensors/malformed', `This is not a valid safetensors file: ${message}.`)

export const isSafetensorsDType = (value: unknown): value is SafetensorsDType =>
  typeof value === 'string' && Object.hasOwn(BYTES_PER_ELEMENT, value)

/** Bytes of a tensor, or NaN where the count is not exact as a double. */
export function tensorBytes(dtype: SafetensorsDType, shape: readonly number[]): number {
  let bytes: number = BYTES_PER_ELEMENT[dtype]
  for (const dimension of shape) {
    bytes *= dimension
    if (bytes > Number.MAX_SAFE_INTEGER) return NaN
  }
  return bytes
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A whole number from 0 to 2^53 - 1; "-0" is none. */
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)

const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount)

/** A name for a message, whatever a stranger put in it. */
const quote = (name: string) => JSON.stringify(name.length > 80 ? `${name.slice(0, 77)}...` : name)

/** Bytes of length field and header, from the file's first 8 bytes. */
function dataStartOf(start: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8) throw malformed(`it has ${fileBytes} bytes, and the header's length alone takes 8`)
  const lengthField = new DataView(start.buffer, start.byteOffset, 8)
  const headerBytes = lengthField.getUint32(0, true)
  if (lengthField.getUint32(4, true) !== 0 || headerBytes > MAX_HEADER_BYTES) {
    throw malformed(`it claims a header of more than ${MAX_HEADER_BYTES} bytes`)
  }
  if (8 + headerBytes > fileBytes) {
    throw malformed(`it claims a header of ${headerBytes} bytes and has ${fileBytes - 8} after the length`)
  }
  return 8 + headerBytes
}

function parseHeaderJson(header: Uint8Array): Record<string, unknown> {
  if (header[0] !== 0x7b) throw malformed('its header does not begin with {')
  try {
    const json = parseStrictJson(decodeUtf8(header), MAX_HEADER_DEPTH)
    if (!isObject(json)) throw malformed('its header is not a JSON object')
    return json
  } catch (error) {
    if (error instanceof StrictJsonError) throw malformed(`its header ${error.message}`)
    throw error
  }
}

function readMetadata(value: unknown): Map<string, string> {
  if (value === undefined) return new Map()
  if (!isObject(value)) throw malformed('__metadata__ is not an object')
  const metadata = new Map<string, string>()
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw malformed(`__metadata__ ${quote(key)} is not a string`)
    metadata.set(key, text)
  }
  return metadata
}

export interface SafetensorsHeaderEntry {
  readonly name: string
  readonly dtype: SafetensorsDType
  readonly shape: readonly number[]
  /** Bytes from the start of the data, end excluded. */
  readonly begin: number
  readonly end: number
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly entries: readonly SafetensorsHeaderEntry[]
  readonly metadata: ReadonlyMap<string, string>
  readonly dataStart: number
}

function readEntry(name: string, value: unknown): SafetensorsHeaderEntry {
  if (!isObject(value)) throw malformed(`the entry of ${quote(name)} is not an object`)
  const { dtype, shape, data_offsets: offsets } = value
  if (!isSafetensorsDType(dtype)) throw malformed(`${quote(name)} has no known dtype`)
  if (!isCounts(shape)) throw malformed(`${quote(name)} has a shape that is not a list of whole numbers`)
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw malformed(`${quote(name)} has data_offsets that are not two whole numbers`)
  }
  const [begin, end] = offsets as [number, number]
  const bytes = tensorBytes(dtype, shape)
  if (end - begin !== bytes) {
    throw malformed(
      `${quote(name)} of ${dtype} [${shape.slice(0, 8)}] does not fill its ${end - begin} bytes`,
    )
  }
  return { name, dtype, shape, begin, end }
}

/**
 * Reads what a file holds without its data.
 *
 * @param start at least the length field and the header
 * @param fileBytes of the whole file
 * @throws FormatError `safetensors/malformed`
 */
export function parseSafetensorsHeader(start: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataStart = dataStartOf(start, fileBytes)
  const header = parseHeaderJson(start.subarray(8, dataStart))
  const metadata = readMetadata(Object.hasOwn(header, '__metadata__') ? header.__metadata__ : undefined)
  const entries: SafetensorsHeaderEntry[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name !== '__metadata__') entries.push(readEntry(name, value))
  }
  entries.sort((x, y) => x.begin - y.begin || x.end - y.end)

  const dataBytes = fileBytes - dataStart
  let covered = 0
  for (const { name, begin, end } of entries) {
    if (begin !== covered) {
      throw malformed(`${quote(name)} begins at byte ${begin} of the data, where byte ${covered} is next`)
    }
    if (end > dataBytes) {
      throw malformed(`${quote(name)} ends at byte ${end} of the data, and there are only ${dataBytes}`)
    }
    covered = end
  }
  if (covered !== dataBytes) throw malformed(`${dataBytes - covered} bytes at its end belong to no tensor`)
  return { entries, metadata, dataStart }
}

/**
 * The same of a file that is not in memory; its data are not read.
 *
 * @param start the file's first bytes, at least 8 where it has them, if the caller has read them already
 * @throws FormatError `safetensors/malformed`, `file/changed`
 */
export async function readSafetensorsHeader(
  source: ByteSource,
  start?: Uint8Array,
): Promise<SafetensorsHeader> {
  const known = start ?? (await readExactly(source, 0, Math.min(source.bytes, 8)))
  const needed = dataStartOf(known, source.bytes)
  const header = needed <= known.length ? known : await readExactly(source, 0, needed)
  return parseSafetensorsHeader(header, source.bytes)
}

/** The same of a source that answers at once. Throws FormatError `safetensors/malformed`. */
export function readSafetensorsHeaderSync(source: {
  readonly bytes: number
  read(offset: number, length: number): Uint8Array
}): SafetensorsHeader {
  const dataStart = dataStartOf(source.read(0, Math.min(source.bytes, 8)), source.bytes)
  return parseSafetensorsHeader(source.read(0, dataStart), source.bytes)
}

/**
 * Reads a whole file held in memory. The tensors are views of `file`.
 *
 * @throws FormatError `safetensors/malformed`
 */
export function parseSafetensors(file: Uint8Array): SafetensorsFile {
  // A plain view: Node's Buffer is a Uint8Array whose slice() shares memory.
  const view = new Uint8Array(file.buffer, file.byteOffset, file.byteLength)
  const { entries, metadata, dataStart } = parseSafetensorsHeader(view, view.length)
  const tensors = new Map<string, SafetensorsTensor>()
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { dtype, shape, bytes: view.subarray(dataStart + begin, dataStart + end) })
  }
  return { tensors, metadata }
}

/**
 * The tensor's values as float32, always a copy. F16 and BF16 are exact; F64 and integers above 2^24 round
 * to the nearest.
 *
 * @throws FormatError `safetensors/dtype` for the 8-bit float types.
 */
export function toFloat32(tensor: SafetensorsTensor): Float32Array {
  // A copy begins at byte 0 of its own buffer, so any element type may be laid over it.
  const { buffer } = new Uint8Array(tensor.bytes)
  switch (tensor.dtype) {
    case 'F32':
      return new Float32Array(buffer)
    case 'F16':
      return float16ToFloat32(new Uint16Array(buffer))
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(buffer))
    case 'F64':
      return new Float32Array(new Float64Array(buffer))
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer), Number)
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer), Number)
    case 'I32':
      return new Float32Array(new Int32Array(buffer))
    case 'U32':
      return new Float32Array(new Uint32Array(buffer))
    case 'I16':
      return new Float32Array(new Int16Array(buffer))
    case 'U16':
      return new Float32Array(new Uint16Array(buffer))
    case 'I8':
      return new Float32Array(new Int8Array(buffer))
    case 'U8':
    case 'BOOL':
      return new Float32Array(new Uint8Array(buffer))
    case 'F8_E5M2':
    case 'F8_E4M3':
      throw new FormatError(
        'safetensors/dtype',
        `Tensors of ${tensor.dtype} cannot be read; convert the file to F32, F16 or BF16.`,
      )
  }
}

export interface SafetensorsInput extends SafetensorsTensor {
  readonly name: string
}

/** A tensor as the header describes it, before its bytes exist. */
export type SafetensorsEntry = Omit<SafetensorsInput, 'bytes'>

/** The bytes of a typed array, as a view. */
export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

/**
 * What comes before the data: length field and header, padded by spaces so that the data begin at a multiple of 8.
 * With the tensors' bytes behind it, in the entries' order, it is the file.
 */
export function safetensorsHeader(
  entries: Iterable<SafetensorsEntry>,
  metadata?: Readonly<Record<string, string>>,
): { header: Uint8Array; dataBytes: number } {
  const members: string[] = []
  if (metadata) members.push(`"__metadata__":${JSON.stringify(metadata)}`)
  const names = new Set<string>(['__metadata__'])
  let dataBytes = 0
  for (const { name, dtype, shape } of entries) {
    if (names.has(name)) throw new RangeError(`Two tensors are named ${quote(name)}.`)
    names.add(name)
    const end = dataBytes + tensorBytes(dtype, shape)
    members.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [dataBytes, end] })}`,
    )
    dataBytes = end
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`)
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true)
  header.set(json, 8)
  return { header, dataBytes }
}

/** How many bytes `writeSafetensors` would give for these tensors. */
export function safetensorsBytes(
  entries: Iterable<SafetensorsEntry>,
  metadata?: Readonly<Record<string, string>>,
): number {
  const { header, dataBytes } = safetensorsHeader(entries, metadata)
  return header.length + dataBytes
}

/**
 * Writes a file. The same input gives the same bytes: tensors lie in the order given, metadata in the order
 * of its keys.
 *
 * @throws RangeError when a tensor's bytes do not fit its shape, or a name is used twice: the caller's mistake.
 */
export function writeSafetensors(
  tensors: Iterable<SafetensorsInput>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const list = [...tensors]
  for (const { name, dtype, shape, bytes } of list) {
    if (bytes.length !== tensorBytes(dtype, shape)) {
      throw new RangeError(`${quote(name)} of ${dtype} [${shape}] does not fill its ${bytes.length} bytes.`)
    }
  }
  const { header, dataBytes } = safetensorsHeader(list, metadata)
  const file = new Uint8Array(header.length + dataBytes)
  file.set(header)
  let position = header.length
  for (const { bytes } of list) {
    file.set(bytes, position)
    position += bytes.length
  }
  return file
}
