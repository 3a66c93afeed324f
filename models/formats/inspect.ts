/**
 * What a safetensors or GGUF file holds, as plain data for people and for JSON. Only the header is read: a
 * file may be larger than memory.
 */
import { FormatError } from '../errors.ts'
import { type ByteSource, wholeFile } from './byte-source.ts'
import { FIRST_READ_BYTES, readGgufHeader } from './gguf.ts'
import type { GgufValue } from './gguf-header.ts'
import { readSafetensorsHeader } from './safetensors.ts'

/** Lists of vocabulary size are cut to their first entries. */
export interface LongList {
  readonly length: number
  readonly first: readonly MetadataValue[]
}

/** 64-bit integers beyond 2^53, NaN and infinities are strings: JSON has no numbers for them. */
export type MetadataValue = string | number | boolean | readonly MetadataValue[] | LongList

export interface InspectedTensor {
  readonly name: string
  readonly dtype: string
  /** Rows first, in both formats. */
  readonly shape: readonly number[]
  readonly bytes: number
}

export interface Inspection {
  readonly format: 'safetensors' | 'gguf'
  /** Of the GGUF format. */
  readonly version?: number
  readonly bytes: number
  readonly metadata: Readonly<Record<string, MetadataValue>>
  readonly tensors: readonly InspectedTensor[]
  /** Entries of all tensors together. */
  readonly parameters: number
}

const LONG_LIST = 32
const SHOWN_OF_LONG_LIST = 8

const entries = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

function plainValue(value: GgufValue): MetadataValue {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (!Array.isArray(value)) return value as string | boolean
  if (value.length <= LONG_LIST) return value.map(plainValue)
  return { length: value.length, first: value.slice(0, SHOWN_OF_LONG_LIST).map(plainValue) }
}

function inspection(
  format: Inspection['format'],
  bytes: number,
  metadata: Iterable<readonly [string, MetadataValue]>,
  tensors: readonly InspectedTensor[],
): Inspection {
  const parameters = tensors.reduce((sum, { shape }) => sum + entries(shape), 0)
  return { format, bytes, metadata: Object.fromEntries(metadata), tensors, parameters }
}

async function inspectSafetensors(source: ByteSource, start: Uint8Array): Promise<Inspection> {
  const { entries: list, metadata } = await readSafetensorsHeader(source, start)
  const tensors = list.map(({ name, dtype, shape, begin, end }) => ({
    name,
    dtype,
    shape,
    bytes: end - begin,
  }))
  return inspection('safetensors', source.bytes, metadata, tensors)
}

async function inspectGguf(source: ByteSource, start: Uint8Array): Promise<Inspection> {
  const { version, metadata, tensors: list } = await readGgufHeader(source, start)
  const tensors = list.map(({ name, type, shape, bytes }) => ({ name, dtype: type, shape, bytes }))
  const plain = Array.from(metadata, ([key, value]) => [key, plainValue(value)] as const)
  return { ...inspection('gguf', source.bytes, plain, tensors), version }
}

/**
 * @throws FormatError `safetensors/malformed`, `gguf/malformed`, `file/unknown-format`
 */
export async function inspectFile(file: Uint8Array | ByteSource): Promise<Inspection> {
  const source = file instanceof Uint8Array ? wholeFile(file) : file
  const start = await source.read(0, Math.min(source.bytes, FIRST_READ_BYTES))
  if (String.fromCharCode(...start.subarray(0, 4)) === 'GGUF') return inspectGguf(source, start)
  if (start[8] === 0x7b) return inspectSafetensors(source, start)
  throw new FormatError(
    'file/unknown-format',
    'The file is neither safetensors nor GGUF; pick a .safetensors or .gguf file.',
  )
}
