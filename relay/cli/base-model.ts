/**
 * What `--model` names: an entry of the catalog, or a folder in Hugging Face's layout. Describes it by digest for
 * a manifest without loading it, and reads its files for those who run it.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  baseDigest,
  catalog,
  DEFAULT_MODEL_ID,
  findModel,
  MODEL_FILE_NAMES,
  type ModelFile,
} from '../../models/catalog/catalog.ts'
import { readModelConfig } from '../../models/catalog/model-files.ts'
import type { ByteSource } from '../../models/formats/byte-source.ts'
import { INDEX_FILE, parseShardIndex, SINGLE_FILE } from '../../models/formats/safetensors-shards.ts'
import type { LlamaConfig } from '../../models/llama/config.ts'
import { CliError, fileError } from './errors.ts'
import { readBytes } from './files.ts'

export interface BaseModel {
  readonly id: string
  readonly family: 'llama'
  /** SPDX identifier, or empty where it is not known. */
  readonly license: string
  readonly folder: string
  readonly fileNames: readonly string[]
}

export const MODEL_OPTION = {
  type: 'string',
  value: 'M',
  help: `catalog id (${catalog.map(({ id }) => id).join(', ')}), a .gguf file or a folder with config.json, model.safetensors and tokenizer.json; default ${DEFAULT_MODEL_ID}`,
} as const

/** Not part of every model's folder. */
const OPTIONAL_FILES: readonly string[] = ['tokenizer_config.json']

/** Throws CliError `model/unknown`, `model/unsupported` or `model/missing-file`. */
export async function findBaseModel(name: string = DEFAULT_MODEL_ID): Promise<BaseModel> {
  const entry = findModel(name)
  if (entry) {
    const folder = fileURLToPath(new URL(`../../models/catalog/${entry.id}/`, import.meta.url))
    const fileNames = entry.files.map((file) => file.name)
    return { id: entry.id, family: entry.family, license: entry.license, folder, fileNames }
  }
  const found = await stat(name).catch(() => undefined)
  if (!found) {
    throw new CliError(
      'model/unknown',
      `There is neither a model ${JSON.stringify(name)} in the catalog (${catalog.map(({ id }) => id).join(', ')}) nor a folder of that name.`,
    )
  }
  if (!found.isDirectory()) {
    if (!name.toLowerCase().endsWith('.gguf')) {
      throw new CliError(
        'model/unsupported',
        `${name} is neither a folder nor a .gguf file; name a GGUF file, or the folder that holds config.json, model.safetensors and tokenizer.json.`,
      )
    }
    return {
      id: path.basename(name, path.extname(name)),
      family: 'llama',
      license: '',
      folder: path.dirname(name),
      fileNames: [path.basename(name)],
    }
  }
  return {
    id: path.basename(path.resolve(name)),
    family: 'llama',
    license: '',
    folder: name,
    fileNames: await present(name),
  }
}

async function present(folder: string): Promise<string[]> {
  const has = (name: string) =>
    stat(path.join(folder, name)).then(
      () => true,
      () => false,
    )
  const names: string[] = []
  for (const name of MODEL_FILE_NAMES) {
    if (await has(name)) names.push(name)
    else if (name === SINGLE_FILE && (await has(INDEX_FILE))) {
      const index = parseShardIndex(await readBytes(path.join(folder, INDEX_FILE)))
      names.push(INDEX_FILE, ...new Set(index.values()))
    } else if (!OPTIONAL_FILES.includes(name)) {
      throw new CliError(
        'model/missing-file',
        `${folder} lacks ${name}; a model's folder holds config.json, model.safetensors and tokenizer.json.`,
      )
    }
  }
  return names
}

/** Reads config.json, or a GGUF file's header, alone. Throws FormatError. */
export async function readConfig({ folder, fileNames }: BaseModel): Promise<LlamaConfig> {
  const opened: FileHandle[] = []
  try {
    const sources = new Map<string, ByteSource>()
    for (const name of fileNames) {
      const file = await open(path.join(folder, name))
      opened.push(file)
      sources.set(name, await fileSource(file))
    }
    return await readModelConfig(sources)
  } catch (error) {
    throw fileError('read', folder, error)
  } finally {
    for (const file of opened) await file.close()
  }
}

const fileSource = async (file: FileHandle): Promise<ByteSource> => ({
  bytes: (await file.stat()).size,
  async read(offset, length) {
    const piece = new Uint8Array(length)
    const { bytesRead } = await file.read(piece, 0, length, offset)
    return piece.subarray(0, bytesRead)
  },
})

/** Sizes and digests, each file read as a stream: a model may be larger than memory. */
export async function describeModel(model: BaseModel): Promise<{ digest: string; files: ModelFile[] }> {
  const files: ModelFile[] = []
  for (const name of model.fileNames) files.push(await describeFile(path.join(model.folder, name), name))
  return { digest: baseDigest(files), files }
}

async function describeFile(file: string, name: string): Promise<ModelFile> {
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of createReadStream(file)) {
      hash.update(chunk)
      bytes += chunk.length
    }
  } catch (error) {
    throw fileError('read', file, error)
  }
  return { name, bytes, sha256: hash.digest('hex') }
}

export async function readModelFiles({ folder, fileNames }: BaseModel): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const name of fileNames) files.set(name, await readBytes(path.join(folder, name)))
  return files
}
