/** Adapter folders and other files of a command, with errors a person can act on. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { readPeftAdapter, writePeftAdapter } from '../../models/formats/peft.ts'
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

/** Creates the folder; an adapter already in it is replaced. Returns the files' sizes together, in bytes. */
export async function writeAdapterFolder(
  folder: string,
  adapter: Adapter,
  baseModel: string,
): Promise<number> {
  const files = Object.entries(writePeftAdapter(adapter, baseModel)) as [string, Uint8Array][]
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
