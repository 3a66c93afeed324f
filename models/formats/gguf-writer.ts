/**
 * Writes GGUF version 3 in pieces: the header with all descriptions first, then one tensor after another, so that
 * memory need not hold the file.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { ggufType } from './gguf-types.ts'

/** Metadata values by the types that are written. */
export type GgufEntry =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }

export interface GgufOutput {
  readonly name: string
  readonly type: 'F32' | 'F16'
  /** Rows first. */
  readonly shape: readonly number[]
  /** Little endian, row-major; asked for once, in order. */
  bytes(): Uint8Array
}

const ALIGNMENT = 32
const TYPE_IDS = { F32: 0, F16: 1 } as const
const VALUE_IDS = { uint32: 4, float32: 6, bool: 7, string: 8 } as const

const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

const bytesOfTensor = ({ type, shape }: GgufOutput) =>
  shape.reduce((product, size) => product * size, ggufType(TYPE_IDS[type])!.blockBytes)

/** Little-endian values one after another. */
class Buffer {
  readonly #parts: Uint8Array[] = []
  bytes = 0

  add(part: Uint8Array): void {
    this.#parts.push(part)
    this.bytes += part.length
  }

  number(bytes: number, write: (view: DataView) => void): void {
    const part = new Uint8Array(bytes)
    write(new DataView(part.buffer))
    this.add(part)
  }

  u32(value: number): void {
    this.number(4, (view) => view.setUint32(0, value, true))
  }

  u64(value: number): void {
    this.number(8, (view) => view.setBigUint64(0, BigInt(value), true))
  }

  string(text: string): void {
    const utf8 = new TextEncoder().encode(text)
    this.u64(utf8.length)
    this.add(utf8)
  }

  joined(): Uint8Array {
    const whole = new Uint8Array(padded(this.bytes))
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }
}

function header(metadata: Readonly<Record<string, GgufEntry>>, tensors: readonly GgufOutput[]): Uint8Array {
  const buffer = new Buffer()
  buffer.add(new TextEncoder().encode('GGUF'))
  buffer.u32(3)
  buffer.u64(tensors.length)
  const entries = Object.entries(metadata)
  buffer.u64(entries.length)
  for (const [key, { type, value }] of entries) {
    buffer.string(key)
    buffer.u32(VALUE_IDS[type])
    if (type === 'string') buffer.string(value)
    else if (type === 'bool') buffer.add(Uint8Array.of(value ? 1 : 0))
    else if (type === 'uint32') buffer.u32(value)
    else buffer.number(4, (view) => view.setFloat32(0, value, true))
  }
  let offset = 0
  for (const tensor of tensors) {
    buffer.string(tensor.name)
    buffer.u32(tensor.shape.length)
    // The file lists the fastest dimension first.
    for (const size of [...tensor.shape].reverse()) buffer.u64(size)
    buffer.u32(TYPE_IDS[tensor.type])
    buffer.u64(offset)
    offset += padded(bytesOfTensor(tensor))
  }
  return buffer.joined()
}

/**
 * @throws RangeError where a tensor's bytes do not fit its shape: the caller's mistake
 */
export function* ggufChunks(
  metadata: Readonly<Record<string, GgufEntry>>,
  tensors: readonly GgufOutput[],
): Generator<Uint8Array, void, undefined> {
  yield header(metadata, tensors)
  for (const tensor of tensors) {
    const bytes = tensor.bytes()
    if (bytes.length !== bytesOfTensor(tensor))
      throw new RangeError(`${tensor.name} [${tensor.shape}] does not fill its ${bytes.length} bytes`)
    yield bytes
    const rest = padded(bytes.length) - bytes.length
    if (rest > 0) yield new Uint8Array(rest)
  }
}
