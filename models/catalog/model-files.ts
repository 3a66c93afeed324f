/**
 * What a model's files say it is, before any weight is read: its configuration, its tokenizer, and where each
 * tensor lies. A model is a folder in Hugging Face's layout (one safetensors file or several with an index) or one
 * GGUF file. Works on small files and headers alone, so that files in memory and files elsewhere share it.
 */
import { FormatError } from '../errors.ts'
import type { LoadedModel, ModelSpec } from '../families/family.ts'
import { specOfConfig, specOfGguf } from '../families/index.ts'
import { type ByteSource, readExactly } from '../formats/byte-source.ts'
import { readGgufHeader } from '../formats/gguf.ts'
import { type GgufHeader, parseGgufHeader } from '../formats/gguf-header.ts'
import {
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type SafetensorsHeader,
} from '../formats/safetensors.ts'
import {
  INDEX_FILE,
  parseShardIndex,
  SINGLE_FILE,
  shardTensors,
  type TensorInFile,
} from '../formats/safetensors-shards.ts'
import type { Model } from '../training/model.ts'

export interface ModelDescription {
  readonly spec: ModelSpec
  /** With the tokenizer, which was read: makes a placed model ready. */
  readonly ready: (model: Model) => LoadedModel
  /** By Hugging Face's name. */
  readonly tensors: ReadonlyMap<string, TensorInFile>
}

/** A model's files by name: a folder in Hugging Face's layout, or one GGUF file. */
export type ModelFiles = ReadonlyMap<string, Uint8Array>
export type ModelSources = ReadonlyMap<string, ByteSource>

/** The largest known tokenizer.json has 33 MB, the largest index 4 MB. */
const MAX_TEXT_BYTES = 100_000_000

/** Small files of a folder, by name. */
type TextFiles = ReadonlyMap<string, Uint8Array>

const TEXT_FILE_NAMES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', INDEX_FILE] as const

/** Configuration, tokenizer and tensors of files in memory. */
export function describeModelFiles(files: ModelFiles): ModelDescription {
  const gguf = ggufFileName(files.keys())
  if (gguf !== undefined) {
    const file = needFile(files, gguf)
    return describeGguf(gguf, parseGgufHeader(file, file.length))
  }
  const names = weightFileNames(files, new Set(files.keys()))
  const headers = names.map((name) => {
    const file = needFile(files, name)
    return [name, parseSafetensorsHeader(file, file.length)] as const
  })
  return describeFolder(files, new Map(headers))
}

/** The same of files elsewhere: reads the small ones and the headers of the others. */
export async function describeModelSources(sources: ModelSources): Promise<ModelDescription> {
  const gguf = ggufFileName(sources.keys())
  if (gguf !== undefined) return describeGguf(gguf, await readGgufHeader(needFile(sources, gguf)))
  const texts = new Map<string, Uint8Array>()
  for (const name of TEXT_FILE_NAMES) {
    const source = sources.get(name)
    if (source) texts.set(name, await readText(name, source))
  }
  const headers = new Map<string, SafetensorsHeader>()
  for (const name of weightFileNames(texts, new Set(sources.keys()))) {
    headers.set(name, await readSafetensorsHeader(needFile(sources, name)))
  }
  return describeFolder(texts, headers)
}

/** What of a model decides how much memory it takes: nothing but headers and config.json is read for it. */
export interface ModelOutline {
  readonly spec: ModelSpec
  /** By Hugging Face's name. */
  readonly tensors: ReadonlyMap<string, { readonly type: string; readonly shape: readonly number[] }>
}

/** @throws FormatError as `describeModelSources`, but for the tokenizer */
export async function readModelOutline(sources: ModelSources): Promise<ModelOutline> {
  const gguf = ggufFileName(sources.keys())
  if (gguf !== undefined) {
    const { spec, tensors } = specOfGguf(await readGgufHeader(needFile(sources, gguf)))
    return { spec, tensors: tensors() }
  }
  const texts = new Map<string, Uint8Array>()
  for (const name of ['config.json', INDEX_FILE]) {
    const source = sources.get(name)
    if (source) texts.set(name, await readText(name, source))
  }
  const headers = new Map<string, SafetensorsHeader>()
  for (const name of weightFileNames(texts, new Set(sources.keys()))) {
    headers.set(name, await readSafetensorsHeader(needFile(sources, name)))
  }
  const spec = specOfConfig(parseJson('config.json', texts.get('config.json')))
  const found = shardTensors(headers, shardIndex(texts, headers))
  return { spec, tensors: new Map(Array.from(found, ([name, { tensor }]) => [name, tensor])) }
}

/** What the configuration alone says, from config.json or the GGUF file's header. */
export async function readModelSpec(sources: ModelSources): Promise<ModelSpec> {
  const gguf = ggufFileName(sources.keys())
  if (gguf !== undefined) return specOfGguf(await readGgufHeader(needFile(sources, gguf))).spec
  const name = 'config.json'
  return specOfConfig(parseJson(name, await readText(name, needFile(sources, name))))
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

export function needFile<T>(files: ReadonlyMap<string, T>, name: string): T {
  const file = files.get(name)
  if (file === undefined) throw missingFile(name)
  return file
}

/** The name of the GGUF file among the files; undefined for a folder in Hugging Face's layout. */
export function ggufFileName(names: Iterable<string>): string | undefined {
  const found = [...names].filter((name) => name.toLowerCase().endsWith('.gguf'))
  if (found.length > 1) {
    throw new FormatError(
      'model/several-gguf',
      `There are ${found.length} GGUF files (${found.slice(0, 3).join(', ')}); name one of them.`,
    )
  }
  return found[0]
}

/** Which files hold the folder's weights, from its index where it has one. */
function weightFileNames(texts: TextFiles, names: ReadonlySet<string>): readonly string[] {
  const index = texts.get(INDEX_FILE)
  // Where both are there the single file is the whole model.
  if (!index || names.has(SINGLE_FILE)) return [SINGLE_FILE]
  return [...new Set(parseShardIndex(index).values())]
}

/** @throws FormatError `config/…`, `gguf/…`, `tokenizer/…`, `model/vocabulary` */
function describeGguf(file: string, header: GgufHeader): ModelDescription {
  const { spec, tensors } = specOfGguf(header)
  const located = Array.from(tensors(), ([name, tensor]) => [name, { file, tensor }] as const)
  return { spec, ready: spec.opening(null), tensors: new Map(located) }
}

/**
 * @param headers of the files that `weightFileNames` gave
 * @throws FormatError `model/missing-file`, `model/bad-json`, `model/bad-index`, `config/…`, `tokenizer/…`,
 * `model/vocabulary`
 */
function describeFolder(texts: TextFiles, headers: ReadonlyMap<string, SafetensorsHeader>): ModelDescription {
  const spec = specOfConfig(parseJson('config.json', texts.get('config.json')))
  const ready = spec.opening({
    tokenizer: parseJson('tokenizer.json', texts.get('tokenizer.json')),
    config: texts.has('tokenizer_config.json')
      ? parseJson('tokenizer_config.json', texts.get('tokenizer_config.json'))
      : {},
  })
  return { spec, ready, tensors: shardTensors(headers, shardIndex(texts, headers)) }
}

function shardIndex(texts: TextFiles, headers: ReadonlyMap<string, SafetensorsHeader>) {
  const index = texts.get(INDEX_FILE)
  return index && !headers.has(SINGLE_FILE) ? parseShardIndex(index) : null
}

const missingFile = (name: string) =>
  new FormatError(
    'model/missing-file',
    `The model lacks ${name}; a model folder needs config.json, tokenizer.json and model.safetensors (or its parts with ${INDEX_FILE}).`,
  )

function parseJson(name: string, bytes: Uint8Array | undefined): unknown {
  if (!bytes) throw missingFile(name)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new FormatError('model/bad-json', `${name} is not valid JSON; download the model again.`, {
      cause: error,
    })
  }
}
