/**
 * A model's safetensors files: one `model.safetensors`, or several with `model.safetensors.index.json`, which says
 * in which file each tensor lies, as Hugging Face's `save_pretrained` writes large models.
 * https://huggingface.co/docs/transformers/big_models#sharded-checkpoints
 */
import { FormatError } from '../errors.ts'
import { type SafetensorsHeader, toFloat32 } from './safetensors.ts'
import type { StoredTensor } from './stored-tensor.ts'
import { decodeUtf8, parseStrictJson, StrictJsonError } from './strict-json.ts'

export const SINGLE_FILE = 'model.safetensors'
export const INDEX_FILE = 'model.safetensors.index.json'

/** A name in the same folder, whatever the system calls a folder. */
const SHARD_NAME = /^[\w.-]{1,200}\.safetensors$/

const malformed = (message: string, cause?: unknown) =>
  new FormatError('model/bad-index', `${INDEX_FILE} ${message}; download the model again.`, { cause })

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Tensor name to file name.
 *
 * @throws FormatError `model/bad-index`
 */
export function parseShardIndex(bytes: Uint8Array): ReadonlyMap<string, string> {
  const index = parseIndexJson(bytes)
  const map = isObject(index) ? index.weight_map : undefined
  if (!isObject(map)) throw malformed('has no weight_map')
  const files = new Map<string, string>()
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !SHARD_NAME.test(file)) {
      throw malformed(`puts ${JSON.stringify(tensor)} into no safetensors file of the same folder`)
    }
    files.set(tensor, file)
  }
  if (files.size === 0) throw malformed('names no tensor')
  return files
}

function parseIndexJson(bytes: Uint8Array): unknown {
  try {
    // metadata may hold what it likes, a few levels deep.
    return parseStrictJson(decodeUtf8(bytes), 16)
  } catch (error) {
    if (error instanceof StrictJsonError) throw malformed(error.message, error)
    throw error
  }
}

/** A tensor and the file it lies in. */
export interface TensorInFile {
  readonly file: string
  readonly tensor: StoredTensor
}

/**
 * Every tensor of the files by name.
 *
 * @param index null where there is one file only
 * @throws FormatError `model/bad-index` where a tensor is not where the index says
 */
export function shardTensors(
  headers: ReadonlyMap<string, SafetensorsHeader>,
  index: ReadonlyMap<string, string> | null,
): ReadonlyMap<string, TensorInFile> {
  const tensors = new Map<string, TensorInFile>()
  for (const [file, { entries, dataStart }] of headers) {
    for (const { name, dtype, shape, begin, end } of entries) {
      if (index && index.get(name) !== file) continue
      const tensor: StoredTensor = {
        type: dtype,
        shape,
        begin: dataStart + begin,
        bytes: end - begin,
        pack: (raw) => raw,
        decode: (raw) => toFloat32({ dtype, shape, bytes: raw }),
      }
      tensors.set(name, { file, tensor })
    }
  }
  for (const [name, file] of index ?? []) {
    if (!tensors.has(name))
      throw malformed(`puts ${JSON.stringify(name)} into ${file}, which does not hold it`)
  }
  return tensors
}
