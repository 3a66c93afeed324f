/**
 * What `--model` names: an entry of the catalog, a folder in Hugging Face's layout (one safetensors file or several
 * with an index), or a GGUF file, either also behind an address. Describes it by digest for a manifest without loading it, and opens its files for
 * those who run it: a model may be larger than what one buffer can hold.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  baseDigest,
  type CatalogEntry,
  catalog,
  DEFAULT_MODEL_ID,
  findModel,
  type ModelFile,
} from '../../models/catalog/catalog.ts'
import { type ModelSources, readModelSpec } from '../../models/catalog/model-files.ts'
import type { ModelSpec } from '../../models/families/family.ts'
import type { ByteSource } from '../../models/formats/byte-source.ts'
import { INDEX_FILE, parseShardIndex, SINGLE_FILE } from '../../models/formats/safetensors-shards.ts'
import { CliError, fileError } from './errors.ts'
import { readBytes } from './files.ts'
import { bytes } from './format.ts'
import { FolderCache, modelFolder } from './model-folder.ts'
import { type DownloadPlace, isAddress, remoteModel } from './remote-model.ts'

export interface BaseModel {
  readonly id: string
  /** SPDX identifier, or empty where it is not known. */
  readonly license: string
  /** Name -> path. */
  readonly files: ReadonlyMap<string, string>
}

export const MODEL_OPTION = {
  type: 'string',
  value: 'M',
  help: `catalog id (${catalog.map(({ id }) => id).join(', ')}), .gguf file, or folder with config.json, model.safetensors and tokenizer.json; either may be an http(s) address; default ${DEFAULT_MODEL_ID}`,
} as const

/** A GGUF file is served and named by this, so that renaming it on the disk makes no other model of it. */
const GGUF_NAME = 'model.gguf'

/**
 * @param place where a download's progress is shown, and what ends it
 * @throws CliError `model/unknown`, `model/unsupported`, `model/missing-file` or `model/not-here`; FormatError for a
 * bad index; DownloadError
 */
export async function findBaseModel(
  name: string = DEFAULT_MODEL_ID,
  place: DownloadPlace = {},
): Promise<BaseModel> {
  if (isAddress(name)) return remoteModel(name, GGUF_NAME, place)
  const entry = findModel(name)
  if (entry) return catalogModel(entry)
  const found = await stat(name).catch(() => undefined)
  if (!found) {
    throw new CliError(
      'model/unknown',
      `There is neither a model ${JSON.stringify(name)} in the catalog (${catalog.map(({ id }) => id).join(', ')}) nor a file or folder of that name.`,
    )
  }
  const own = path.basename(path.resolve(name))
  const model = { license: '' } as const
  if (found.isDirectory()) return { ...model, id: own, files: await folderFiles(name) }
  if (!name.toLowerCase().endsWith('.gguf')) {
    throw new CliError(
      'model/unsupported',
      `${name} is no .gguf file; name one, or the folder that holds config.json, model.safetensors and tokenizer.json.`,
    )
  }
  return { ...model, id: own.slice(0, -'.gguf'.length), files: new Map([[GGUF_NAME, name]]) }
}

async function catalogModel(entry: CatalogEntry): Promise<BaseModel> {
  const { id, license } = entry
  const files = new Map<string, string>()
  if (entry.origin === null) {
    const folder = fileURLToPath(new URL(`../../models/catalog/${id}/`, import.meta.url))
    for (const { name } of entry.files) files.set(name, path.join(folder, name))
    return { id, license, files }
  }
  const cache = new FolderCache()
  for (const { name, bytes: fileBytes, sha256 } of entry.files) {
    const found = await cache.find(sha256)
    if (!found) {
      throw new CliError(
        'model/not-here',
        `${entry.title} is not on this machine. It is ${entry.origin} (${bytes(fileBytes)}, sha256 ${sha256}): name the file with --model, or keep it as ${path.join(modelFolder(), sha256)}.`,
      )
    }
    files.set(name, found.path)
  }
  return { id, license, files }
}

async function folderFiles(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  const add = async (name: string) => {
    const file = path.join(folder, name)
    if (!(await stat(file).catch(() => undefined))?.isFile()) return false
    files.set(name, file)
    return true
  }
  const need = async (name: string) => {
    if (await add(name)) return
    throw new CliError(
      'model/missing-file',
      `${folder} lacks ${name}; a model's folder holds config.json, tokenizer.json and model.safetensors (or its parts with ${INDEX_FILE}).`,
    )
  }
  await need('config.json')
  await need('tokenizer.json')
  await add('tokenizer_config.json')
  // Where both are there the single file is the whole model.
  if (!(await add(SINGLE_FILE))) {
    if (!(await add(INDEX_FILE))) await need(SINGLE_FILE)
    const index = parseShardIndex(await readBytes(path.join(folder, INDEX_FILE)))
    for (const name of new Set(index.values())) await need(name)
  }
  return files
}

/** Opens the model's files for `use`, and closes them after it. */
export async function withSources<T>(
  model: BaseModel,
  use: (sources: ModelSources) => Promise<T>,
): Promise<T> {
  const handles: FileHandle[] = []
  try {
    const sources = new Map<string, ByteSource>()
    for (const [name, file] of model.files) {
      const handle = await open(file).catch((error: unknown) => {
        throw fileError('read', file, error)
      })
      handles.push(handle)
      sources.set(name, fileSource(handle, (await handle.stat()).size))
    }
    return await use(sources)
  } finally {
    for (const handle of handles) await handle.close()
  }
}

/** A file as a source of pieces. */
export function fileSource(handle: FileHandle, bytes: number): ByteSource {
  return {
    bytes,
    async read(offset, length) {
      const piece = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await handle.read(piece, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return piece.subarray(0, filled)
    },
  }
}

/** What the configuration alone says; no weights are read. Throws FormatError. */
export const readSpec = (model: BaseModel): Promise<ModelSpec> => withSources(model, readModelSpec)

/** Sizes and digests, each file read as a stream. */
export async function describeModel(model: BaseModel): Promise<{ digest: string; files: ModelFile[] }> {
  const files: ModelFile[] = []
  for (const [name, file] of model.files) files.push(await describeFile(file, name))
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
