/** `inspect`: what a gguf or safetensors file holds, without loading a model. */
import { type FileHandle, open } from 'node:fs/promises'
import { readModelOutline } from '../../../models/catalog/model-files.ts'
import type { MemoryNeed } from '../../../models/catalog/planner.ts'
import { FormatError } from '../../../models/errors.ts'
import type { ByteSource } from '../../../models/formats/byte-source.ts'
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
    'Says what a gguf or safetensors file holds: metadata, tensors, number types, sizes; of a model in\na gguf file also what training it takes. Of a file behind an address only the first part is fetched.',
  options: {},
  async run(args, console, signal) {
    const [file, ...more] = args.positionals
    if (file === undefined || more.length > 0) throw new UsageError('Name one file.')
    const { training, ...inspection } = await (isAddress(file) ? inspectAddress(file, signal) : inspect(file))
    console.result({ file, ...inspection, training })
    console.print(describe(file, inspection) + describeTraining(training))
  },
}

/** With what one window of 256 tokens and an adapter of rank 8 takes. */
const WORK = { batch: 1, tokens: 256, rank: 8 } as const

/** Null: the file is no whole model. */
type Training =
  | (typeof WORK & { readonly webgpu: MemoryNeed; readonly wasm: MemoryNeed })
  | { readonly refused: { readonly code: string; readonly message: string } }
  | null

type Inspected = Inspection & { readonly training: Training }

async function inspectSource(source: ByteSource): Promise<Inspected> {
  const inspection = await inspectFile(source)
  return { ...inspection, training: await trainingOf(source, inspection) }
}

/** Whether the model in the file can be trained, and with how much memory. */
async function trainingOf(source: ByteSource, { format, metadata }: Inspection): Promise<Training> {
  if (format !== 'gguf' || (metadata['general.type'] ?? 'model') !== 'model') return null
  try {
    const outline = await readModelOutline(new Map([['model.gguf', source]]))
    const { MemoryPlanner } = await import('../../../models/catalog/planner.ts')
    return {
      ...WORK,
      webgpu: await new MemoryPlanner(outline, 'plan').need(WORK),
      wasm: await new MemoryPlanner(outline, 'eager').need(WORK),
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return { refused: { code: error.code, message: error.message } }
  }
}

function describeTraining(training: Training): string {
  if (training === null) return ''
  if ('refused' in training) return `\nCannot be trained: ${training.refused.message}\n`
  const { batch, tokens, rank, webgpu, wasm } = training
  return `\nTraining with batch ${batch}, length ${tokens} and rank ${rank} takes ${inBytes(webgpu.totalBytes)} on WebGPU, about ${inBytes(wasm.totalBytes)} on wasm.\n`
}

/** Reads the header alone: the file may be larger than memory. */
async function inspect(file: string): Promise<Inspected> {
  let handle: FileHandle | undefined
  try {
    const opened = await open(file)
    handle = opened
    const { size } = await opened.stat()
    return await inspectSource(fileSource(opened, size))
  } catch (error) {
    throw fileError('read', file, error)
  } finally {
    await handle?.close()
  }
}

async function inspectAddress(address: string, signal: AbortSignal): Promise<Inspected> {
  const file = await HttpFile.open(address, { signal })
  try {
    return await inspectSource(file)
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
