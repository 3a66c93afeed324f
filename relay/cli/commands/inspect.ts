/** `inspect`: what a gguf or safetensors file holds, without loading a model. */
import { type FileHandle, open } from 'node:fs/promises'
import { parseSafetensors } from '../../../models/formats/safetensors.ts'
import type { Command } from '../command.ts'
import { fileError, UsageError } from '../errors.ts'
import { readBytes } from '../files.ts'
import { bytes as inBytes, table } from '../format.ts'
import { isGguf, MAX_GGUF_HEADER_BYTES, readGgufHeader } from '../gguf-header.ts'

interface Contents {
  readonly format: 'gguf' | 'safetensors'
  readonly bytes: number
  readonly metadata: Readonly<Record<string, unknown>>
  readonly tensors: readonly TensorFacts[]
}

interface TensorFacts {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: number | null
}

export const command: Command = {
  usage: 'FILE',
  about: 'Says what a gguf or safetensors file holds: metadata, tensors, number types, sizes.',
  options: {},
  async run(args, console) {
    const [file, ...more] = args.positionals
    if (file === undefined || more.length > 0) throw new UsageError('Name one file.')
    const contents = await readContents(file)
    const parameters = contents.tensors.reduce((sum, { shape }) => sum + elements(shape), 0)
    console.result({ file, ...contents, parameters })
    console.print(describe(file, contents, parameters))
  },
}

const elements = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

async function readContents(file: string): Promise<Contents> {
  const { start, size } = await readStart(file)
  if (isGguf(start)) {
    const { version, metadata, tensors } = readGgufHeader(start, size)
    const plain = [...metadata].map(([key, value]) => [
      key,
      typeof value === 'bigint' ? value.toString() : value,
    ])
    return {
      format: 'gguf',
      bytes: size,
      metadata: { 'GGUF version': version, ...Object.fromEntries(plain) },
      tensors,
    }
  }
  const { metadata, tensors } = parseSafetensors(await readBytes(file))
  return {
    format: 'safetensors',
    bytes: size,
    metadata: Object.fromEntries(metadata),
    tensors: [...tensors].map(([name, { dtype, shape, bytes }]) => ({
      name,
      dtype,
      shape,
      bytes: bytes.length,
    })),
  }
}

/** The first bytes, as many as a gguf's header may take; of other files four. */
async function readStart(file: string): Promise<{ start: Uint8Array; size: number }> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file)
    const { size } = await handle.stat()
    const magic = new Uint8Array(Math.min(4, size))
    await handle.read(magic, 0, magic.length, 0)
    if (!isGguf(magic)) return { start: magic, size }
    const start = new Uint8Array(Math.min(size, MAX_GGUF_HEADER_BYTES))
    const { bytesRead } = await handle.read(start, 0, start.length, 0)
    return { start: start.subarray(0, bytesRead), size }
  } catch (error) {
    throw fileError('read', file, error)
  } finally {
    await handle?.close()
  }
}

function describe(file: string, { format, bytes, metadata, tensors }: Contents, parameters: number): string {
  const types = new Map<string, { tensors: number; bytes: number }>()
  for (const { dtype, bytes } of tensors) {
    const sum = types.get(dtype) ?? { tensors: 0, bytes: 0 }
    types.set(dtype, { tensors: sum.tensors + 1, bytes: sum.bytes + (bytes ?? 0) })
  }
  const lines = [
    `${file}: ${format}, ${inBytes(bytes)}, ${tensors.length} tensors, ${parameters.toLocaleString('en')} parameters\n`,
  ]
  for (const [dtype, sum] of types) lines.push(`  ${dtype}: ${sum.tensors} tensors, ${inBytes(sum.bytes)}\n`)
  const facts = Object.entries(metadata)
  if (facts.length > 0) lines.push('\n', table(facts.map(([key, value]) => [key, short(value)])))
  if (tensors.length > 0) {
    lines.push(
      '\n',
      table(
        tensors.map(({ name, dtype, shape }) => [
          name.replace(/\p{Cc}+/gu, ' '),
          dtype,
          `[${shape.join(', ')}]`,
        ]),
      ),
    )
  }
  return lines.join('')
}

/** On one line, and no control characters of a stranger's file on the terminal. */
function short(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'elements' in value && 'type' in value) {
    return `${value.elements} x ${value.type}`
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const clean = text.replace(/\p{Cc}+/gu, ' ')
  return clean.length > 100 ? `${clean.slice(0, 97)}...` : clean
}
