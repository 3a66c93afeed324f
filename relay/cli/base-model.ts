/**
 * What `--model` names: an entry of the catalog, or a folder in Hugging Face's layout. Describes it by digest for
 * a manifest without loading it, and reads its files for those who run it.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
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
import { type LlamaConfig, parseLlamaConfig } from '../../models/llama/config.ts'
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
  help: `catalog id (${catalog.map(({ id }) => id).join(', ')}) or a folder with config.json, model.safetensors and tokenizer.json; default ${DEFAULT_MODEL_ID}`,
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
    throw new CliError(
      'model/unsupported',
      `${name} is a file; name the folder that holds config.json, model.safetensors and tokenizer.json.`,
    )
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
  const names: string[] = []
  for (const name of MODEL_FILE_NAMES) {
    if (await stat(path.join(folder, name)).catch(() => undefined)) names.push(name)
    else if (!OPTIONAL_FILES.includes(name)) {
      throw new CliError(
        'model/missing-file',
        `${folder} lacks ${name}; a model's folder holds config.json, model.safetensors and tokenizer.json.`,
      )
    }
  }
  return names
}

/** Reads config.json alone. Throws FormatError. */
export async function readConfig({ folder }: BaseModel): Promise<LlamaConfig> {
  const bytes = await readBytes(path.join(folder, 'config.json'))
  try {
    return parseLlamaConfig(JSON.parse(new TextDecoder().decode(bytes)))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new CliError('model/bad-json', `config.json in ${folder} is not valid JSON; download it again.`, {
      cause: error,
    })
  }
}

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
