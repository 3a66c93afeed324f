/** Adapter folders and other files of a command, with errors a person can act on. */
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { wholeFile } from '../../models/formats/byte-source.ts'
import {
  type AdapterOrigin,
  readAdapterOrigin,
  readPeftAdapter,
  writePeftAdapter,
} from '../../models/formats/peft.ts'
import { type BaseModel, readSpec } from './base-model.ts'
import { CliError, fileError } from './errors.ts'

/** Node reads a file into one buffer; none we read whole is larger. */
const MAX_BYTES = 2 ** 31

export async function readBytes(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file)
    if (size > MAX_BYTES) {
      throw new CliError(
        'file/too-large',
        `${file} has ${size} bytes; at most ${MAX_BYTES} can be read at once.`,
      )
    }
    return await readFile(file)
  } catch (error) {
    throw fileError('read', file, error)
  }
}

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/** A PEFT adapter's folder. */
export async function readAdapterFolder(folder: string): Promise<Adapter> {
  const config = await readBytes(path.join(folder, CONFIG))
  return readPeftAdapter(config, await readBytes(path.join(folder, WEIGHTS)))
}

/** Writes pieces as they come, beside the file first: what stands under its name is whole. Returns its size in bytes. */
export async function writeChunks(
  file: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  const partial = `${file}.partial`
  let bytes = 0
  try {
    await mkdir(path.dirname(file), { recursive: true })
    const handle = await open(partial, 'w')
    try {
      for await (const chunk of chunks) {
        await handle.writeFile(chunk)
        bytes += chunk.length
        onBytes(bytes)
      }
    } finally {
      await handle.close()
    }
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw fileError('write', file, error)
  }
  return bytes
}

export interface AdapterFile {
  readonly adapter: Adapter
  /** Empty where the file does not say. */
  readonly origin: AdapterOrigin
}

export const NO_ADAPTER = { adapter: null, origin: {} } as const

/** A PEFT folder, or a GGUF file as llama.cpp loads it; `base` is the model that the adapter is for. */
export async function readAdapter(name: string, base: BaseModel): Promise<AdapterFile> {
  if (name.toLowerCase().endsWith('.gguf')) {
    const { gguf } = await readSpec(base)
    if (!gguf) throw noGguf(base)
    return { adapter: await gguf.readAdapter(wholeFile(await readBytes(name))), origin: {} }
  }
  return { adapter: await readAdapterFolder(name), origin: await readOrigin(name) }
}

/** llama.cpp knows no models of its family. */
export const noGguf = (base: BaseModel) =>
  new CliError(
    'model/no-gguf',
    `There are no GGUF files for models such as ${base.id}; its adapters are PEFT folders.`,
  )

/** Which base a PEFT folder's adapter was trained on. */
export const readOrigin = async (folder: string): Promise<AdapterOrigin> =>
  readAdapterOrigin(await readBytes(path.join(folder, WEIGHTS)))

/** Creates the folder; an adapter already in it is replaced. Returns the files' sizes together, in bytes. */
export async function writeAdapterFolder(
  folder: string,
  adapter: Adapter,
  baseModel: string,
  origin: AdapterOrigin = {},
): Promise<number> {
  const files = Object.entries(writePeftAdapter(adapter, baseModel, origin)) as [string, Uint8Array][]
  try {
    await mkdir(folder, { recursive: true })
    for (const [name, content] of files) await writeFile(path.join(folder, name), content)
  } catch (error) {
    throw fileError('write', folder, error)
  }
  return files.reduce((sum, [, content]) => sum + content.length, 0)
}

/** What adapter_config.json names as its base; empty where it names none. */
export async function baseModelName(folder: string): Promise<string> {
  const config: unknown = JSON.parse(new TextDecoder().decode(await readBytes(path.join(folder, CONFIG))))
  const name = (config as { base_model_name_or_path?: unknown }).base_model_name_or_path
  return typeof name === 'string' ? name : ''
}
