/**
 * A GGUF file as a source of tensors, read one at a time: memory holds the header and the tensor asked for,
 * whatever the file's size. Every size was compared with the file's before a tensor can be asked for.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { FormatError } from '../errors.ts'
import { type ByteSource, readExactly } from './byte-source.ts'
import { MoreBytesNeeded } from './gguf-cursor.ts'
import { dequantise } from './gguf-dequantise.ts'
import { type GgufHeader, type GgufTensor, type GgufValue, parseGgufHeader } from './gguf-header.ts'

export interface GgufFile {
  readonly version: 2 | 3
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** By name, in the file's order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>
  /**
   * All weights of a tensor, rows first.
   * @throws FormatError `gguf/no-tensor`, `gguf/type`, `file/changed`
   */
  read(name: string): Promise<Float32Array>
  /**
   * The tensor as the file packs it.
   * @throws FormatError `gguf/no-tensor`, `file/changed`
   */
  readRaw(name: string): Promise<{ type: string; bytes: Uint8Array }>
}

/** Enough for most headers without a vocabulary. */
export const FIRST_READ_BYTES = 65_536

/** A GGUF header with the largest known vocabularies has some 10 MB. */
const MAX_HEADER_BYTES = 256_000_000

/**
 * @param start the file's first bytes, where the caller has read them already
 * @throws FormatError `gguf/malformed`, `file/changed`
 */
export async function readGgufHeader(source: ByteSource, start?: Uint8Array): Promise<GgufHeader> {
  let known = start ?? (await readExactly(source, 0, Math.min(source.bytes, FIRST_READ_BYTES)))
  for (;;) {
    try {
      return parseGgufHeader(known, source.bytes)
    } catch (error) {
      if (!(error instanceof MoreBytesNeeded)) throw error
      if (error.bytes > MAX_HEADER_BYTES) {
        throw new FormatError(
          'gguf/malformed',
          `This GGUF file's header goes on past ${MAX_HEADER_BYTES} bytes, more than any known model's.`,
        )
      }
      // Four times as much, so that the header is not parsed from its start again and again.
      known = await readExactly(source, 0, Math.min(source.bytes, Math.max(error.bytes, known.length * 4)))
    }
  }
}

/** @throws FormatError `gguf/malformed`, `file/changed` */
export async function openGguf(source: ByteSource): Promise<GgufFile> {
  const { version, metadata, tensors: list } = await readGgufHeader(source)
  const tensors = new Map(list.map((tensor) => [tensor.name, tensor]))
  const readRaw = async (name: string) => {
    const tensor = tensors.get(name)
    if (!tensor) throw new FormatError('gguf/no-tensor', `This GGUF file holds no tensor ${name}.`)
    return { type: tensor.type, bytes: await readExactly(source, tensor.begin, tensor.bytes) }
  }
  return {
    version,
    metadata,
    tensors,
    readRaw,
    async read(name) {
      const { type, bytes } = await readRaw(name)
      return dequantise(type, bytes)
    },
  }
}
