/** `inspect`: what a gguf or safetensors file holds, without loading a model. */
import { type FileHandle, open } from 'node:fs/promises'
import { HttpFile } from '../../../models/formats/http-file.ts'
import { type Inspection, inspectFile, type MetadataValue } from '../../../models/formats/inspect.ts'
import { fileSource } from '../base-model.ts'
import type { Command } from '../command.ts'
import { fileError, UsageError } from '../errors.ts'
import { bytes as inBytes, table } from '../format.ts'
import { isAddress } from '../remote-model.ts'

export const command: Command = {
  usage: 'FILE|URL',
  about:
    'Says what a gguf or safetensors file holds: metadata, tensors, number types, sizes. Of a file behind an\naddress only the first part is fetched.',
  options: {},
  async run(args, console, signal) {
    const [file, ...more] = args.positionals
    if (file === undefined || more.length > 0) throw new UsageError('Name one file.')
    const inspection = await (isAddress(file) ? inspectAddress(file, signal) : inspect(file))
    console.result({ file, ...inspection })
    console.print(describe(file, inspection))
  },
}

/** Reads the header alone: the file may be larger than memory. */
async function inspect(file: string): Promise<Inspection> {
  let handle: FileHandle | undefined
  try {
    const opened = await open(file)
    handle = opened
    const { size } = await opened.stat()
    return await inspectFile(fileSource(opened, size))
  } catch (error) {
    throw fileError('read', file, error)
  } finally {
    await handle?.close()
  }
}

async function inspectAddress(address: string, signal: AbortSignal): Promise<Inspection> {
  const file = await HttpFile.open(address, { signal })
  try {
    return await inspectFile(file)
  } finally {
    await file.close()
  }
}

function describe(
  file: string,
  { format, version, bytes, metadata, tensors, parameters }: Inspection,
): string {
  const types = new Map<string, { tensors: number; bytes: number }>()
  for (const { dtype, bytes } of tensors) {
    const sum = types.get(dtype) ?? { tensors: 0, bytes: 0 }
    types.set(dtype, { tensors: sum.tensors + 1, bytes: sum.bytes + bytes })
  }
  const kind = version === undefined ? format : `${format} version ${version}`
  const lines = [
    `${file}: ${kind}, ${inBytes(bytes)}, ${tensors.length} tensors, ${parameters.toLocaleString('en')} parameters\n`,
  ]
  for (const [dtype, sum] of types) lines.push(`  ${dtype}: ${sum.tensors} tensors, ${inBytes(sum.bytes)}\n`)
  const facts = Object.entries(metadata)
  if (facts.length > 0) lines.push('\n', table(facts.map(([key, value]) => [clean(key), short(value)])))
  if (tensors.length > 0) {
    lines.push(
      '\n',
      table(tensors.map(({ name, dtype, shape }) => [clean(name), dtype, `[${shape.join(', ')}]`])),
    )
  }
  return lines.join('')
}

/** A stranger's file must not steer the terminal. */
const clean = (text: string) => text.replace(/\p{Cc}+/gu, ' ')

function short(value: MetadataValue): string {
  if (typeof value === 'object' && 'first' in value) return `${value.length} entries`
  const text = clean(typeof value === 'string' ? value : JSON.stringify(value))
  return text.length > 100 ? `${text.slice(0, 97)}...` : text
}
