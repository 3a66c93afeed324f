/**
 * From a model's files to a model on an engine: files in memory at once (`loadModel`), or read from where they lie
 * one tensor after another (`streamModel`), so that memory holds the engine's weights and one tensor besides.
 */
import type { Engine } from '../backend/engine.ts'
import { FormatError } from '../errors.ts'
import { type ByteSource, readExactly } from '../formats/byte-source.ts'
import { readGgufHeader } from '../formats/gguf.ts'
import { parseGgufHeader } from '../formats/gguf-header.ts'
import {
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type SafetensorsHeader,
} from '../formats/safetensors.ts'
import { LlamaModel } from '../llama/model.ts'
import type { Tokenizer } from '../llama/tokenizer.ts'
import { placeWeights, streamWeights } from '../llama/weights.ts'
import {
  describeFolder,
  describeGguf,
  ggufName,
  type ModelDescription,
  missingFile,
  TEXT_FILE_NAMES,
  weightFileNames,
} from './model-files.ts'

export interface LoadedModel {
  readonly model: LlamaModel
  readonly tokenizer: Tokenizer
  dispose(): void
}

/** A model's files by name: a folder in Hugging Face's layout, or one GGUF file. */
export type ModelFiles = ReadonlyMap<string, Uint8Array>
export type ModelSources = ReadonlyMap<string, ByteSource>

export interface LoadProgress {
  /** Of weights read so far, as the files pack them. */
  readonly bytes: number
  readonly totalBytes: number
}

/** The largest known tokenizer.json has 33 MB, the largest index 4 MB. */
const MAX_TEXT_BYTES = 100_000_000

/** @throws FormatError as `describeGguf`, `describeFolder` and `placeWeights` */
export function loadModel(engine: Engine, files: ModelFiles): LoadedModel {
  const description = describeModelFiles(files)
  const weights = placeWeights(engine, description.config, (name) => {
    const found = description.tensors.get(name)
    if (!found) return undefined
    const { file, tensor } = found
    const raw = need(files, file).subarray(tensor.begin, tensor.begin + tensor.bytes)
    return { shape: tensor.shape, values: tensor.decode(raw) }
  })
  return loaded(new LlamaModel(engine, description.config, weights), description.tokenizer)
}

/**
 * @param files by name, or one GGUF file
 * @throws FormatError as `loadModel`, and `file/changed`; and what a source throws
 */
export async function streamModel(
  engine: Engine,
  files: ModelSources | ByteSource,
  onProgress: (progress: LoadProgress) => void = () => {},
): Promise<LoadedModel> {
  const sources: ModelSources = 'read' in files ? new Map([['model.gguf', files]]) : files
  const { config, tokenizer, tensors } = await describeModelSources(sources)
  let totalBytes = 0
  for (const { tensor } of tensors.values()) totalBytes += tensor.bytes
  let bytes = 0
  const weights = await streamWeights(engine, config, async (name) => {
    const found = tensors.get(name)
    if (!found) return undefined
    const { file, tensor } = found
    const raw = await readExactly(need(sources, file), tensor.begin, tensor.bytes)
    bytes += tensor.bytes
    onProgress({ bytes, totalBytes })
    return { shape: tensor.shape, values: tensor.decode(raw) }
  })
  return loaded(new LlamaModel(engine, config, weights), tokenizer)
}

/** Configuration, tokenizer and tensors of files in memory. */
export function describeModelFiles(files: ModelFiles): ModelDescription {
  const gguf = ggufName(files.keys())
  if (gguf !== undefined) {
    const file = need(files, gguf)
    return describeGguf(gguf, parseGgufHeader(file, file.length))
  }
  const names = weightFileNames(files, new Set(files.keys()))
  const headers = names.map((name) => {
    const file = need(files, name)
    return [name, parseSafetensorsHeader(file, file.length)] as const
  })
  return describeFolder(files, new Map(headers))
}

/** The same of files elsewhere: reads the small ones and the headers of the others. */
export async function describeModelSources(sources: ModelSources): Promise<ModelDescription> {
  const gguf = ggufName(sources.keys())
  if (gguf !== undefined) return describeGguf(gguf, await readGgufHeader(need(sources, gguf)))
  const texts = new Map<string, Uint8Array>()
  for (const name of TEXT_FILE_NAMES) {
    const source = sources.get(name)
    if (source) texts.set(name, await readText(name, source))
  }
  const headers = new Map<string, SafetensorsHeader>()
  for (const name of weightFileNames(texts, new Set(sources.keys()))) {
    headers.set(name, await readSafetensorsHeader(need(sources, name)))
  }
  return describeFolder(texts, headers)
}

async function readText(name: string, source: ByteSource): Promise<Uint8Array> {
  if (source.bytes > MAX_TEXT_BYTES) {
    throw new FormatError(
      'model/bad-json',
      `${name} has ${source.bytes} bytes, more than any known model's; download the model again.`,
    )
  }
  return readExactly(source, 0, source.bytes)
}

function need<T>(files: ReadonlyMap<string, T>, name: string): T {
  const file = files.get(name)
  if (file === undefined) throw missingFile(name)
  return file
}

const loaded = (model: LlamaModel, tokenizer: Tokenizer): LoadedModel => ({
  model,
  tokenizer,
  dispose: () => model.dispose(),
})
