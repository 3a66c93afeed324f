/**
 * From a model's files to a model on an engine: files in memory at once (`loadModel`), or read from where they lie
 * one tensor after another (`streamModel`), so that memory holds the engine's weights and one tensor besides.
 */
import type { Engine } from '../backend/engine.ts'
import type { LoadedModel } from '../families/family.ts'
import { type Found, placeAll, streamAll } from '../families/placing.ts'
import { type ByteSource, readExactly } from '../formats/byte-source.ts'
import { staysPacked } from '../formats/gguf-packed.ts'
import type { StoredTensor } from '../formats/stored-tensor.ts'
import {
  describeModelFiles,
  describeModelSources,
  type ModelFiles,
  type ModelSources,
  needFile,
} from './model-files.ts'

export type { LoadedModel } from '../families/family.ts'

export interface LoadProgress {
  /** Of weights read so far, as the files pack them. */
  readonly bytes: number
  readonly totalBytes: number
}

/** @throws FormatError as `describeModelFiles`, and of the family's weights */
export function loadModel(engine: Engine, files: ModelFiles): LoadedModel {
  const { spec, ready, tensors } = describeModelFiles(files)
  const placed = placeAll(engine, spec.placing, (name) => {
    const found = tensors.get(name)
    if (!found) return undefined
    const { file, tensor } = found
    const raw = needFile(files, file).subarray(tensor.begin, tensor.begin + tensor.bytes)
    return asFound(tensor, raw)
  })
  return ready(placed(engine))
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
  const { spec, ready, tensors } = await describeModelSources(sources)
  let totalBytes = 0
  for (const { tensor } of tensors.values()) totalBytes += tensor.bytes
  let bytes = 0
  const placed = await streamAll(engine, spec.placing, async (name) => {
    const found = tensors.get(name)
    if (!found) return undefined
    const { file, tensor } = found
    const raw = await readExactly(needFile(sources, file), tensor.begin, tensor.bytes)
    bytes += tensor.bytes
    onProgress({ bytes, totalBytes })
    return asFound(tensor, raw)
  })
  return ready(placed(engine))
}

/** Matrices stay packed where an engine can keep them so; safetensors' F16 is one block a weight. */
function asFound({ type, shape, pack, decode }: StoredTensor, raw: Uint8Array): Found {
  return staysPacked(type, shape)
    ? { type, shape: [shape[0], shape[1]], blocks: pack(raw) }
    : { shape, values: decode(raw) }
}
