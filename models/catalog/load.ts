/**
 * From a model's files to a model on an engine: files in memory at once (`loadModel`), or read from where they lie
 * one tensor after another (`streamModel`), so that memory holds the engine's weights and one tensor besides.
 */
import type { Engine } from '../backend/engine.ts'
import { type ByteSource, readExactly } from '../formats/byte-source.ts'
import { staysPacked } from '../formats/gguf-packed.ts'
import type { StoredTensor } from '../formats/stored-tensor.ts'
import { LlamaModel } from '../llama/model.ts'
import type { Tokenizer } from '../llama/tokenizer.ts'
import { type FoundMatrix, type FoundTensor, placeWeights, streamWeights } from '../llama/weights.ts'
import {
  describeModelFiles,
  describeModelSources,
  type ModelFiles,
  type ModelSources,
  needFile,
} from './model-files.ts'

export interface LoadedModel {
  readonly model: LlamaModel
  readonly tokenizer: Tokenizer
  dispose(): void
}

export interface LoadProgress {
  /** Of weights read so far, as the files pack them. */
  readonly bytes: number
  readonly totalBytes: number
}

/** @throws FormatError as `describeModelFiles` and `placeWeights` */
export function loadModel(engine: Engine, files: ModelFiles): LoadedModel {
  const description = describeModelFiles(files)
  const weights = placeWeights(engine, description.config, (name) => {
    const found = description.tensors.get(name)
    if (!found) return undefined
    const { file, tensor } = found
    const raw = needFile(files, file).subarray(tensor.begin, tensor.begin + tensor.bytes)
    return asFound(tensor, raw)
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
    const raw = await readExactly(needFile(sources, file), tensor.begin, tensor.bytes)
    bytes += tensor.bytes
    onProgress({ bytes, totalBytes })
    return asFound(tensor, raw)
  })
  return loaded(new LlamaModel(engine, config, weights), tokenizer)
}

/** Matrices stay packed where an engine can keep them so; safetensors' F16 is one block a weight. */
function asFound({ type, shape, pack, decode }: StoredTensor, raw: Uint8Array): FoundTensor | FoundMatrix {
  return staysPacked(type, shape)
    ? { type, shape: [shape[0], shape[1]], blocks: pack(raw) }
    : { shape, values: decode(raw) }
}

const loaded = (model: LlamaModel, tokenizer: Tokenizer): LoadedModel => ({
  model,
  tokenizer,
  dispose: () => model.dispose(),
})
