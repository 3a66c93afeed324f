/**
 * A base model with an adapter merged in, as a folder in Hugging Face's layout that needs no adapter any more:
 * W + alpha / rank · B A for every changed projection, config.json and tokenizer as the base has them. Tensors are
 * read, merged and handed on one after another, so that memory holds one of them.
 */
import { type Adapter, type LoraFactors, withoutCores } from '../adapters/adapter.ts'
import { FormatError } from '../errors.ts'
import { readExactly } from '../formats/byte-source.ts'
import { readGgufHeader } from '../formats/gguf.ts'
import { float32ToBfloat16, float32ToFloat16 } from '../formats/half.ts'
import { bytesOf, type SafetensorsEntry, safetensorsHeader } from '../formats/safetensors.ts'
import { SINGLE_FILE } from '../formats/safetensors-shards.ts'
import { checkAdapterFits } from '../training/engine-adapter.ts'
import {
  describeModelSources,
  ggufFileName,
  type ModelDescription,
  type ModelSources,
  needFile,
} from './model-files.ts'

export type MergedType = 'f32' | 'f16' | 'bf16'

/** By safetensors' and by config.json's names. */
const TYPES = {
  f32: { dtype: 'F32', torch: 'float32' },
  f16: { dtype: 'F16', torch: 'float16' },
  bf16: { dtype: 'BF16', torch: 'bfloat16' },
} as const

export interface OutputFile {
  readonly name: string
  readonly bytes: number
  /** To be taken once. */
  readonly chunks: AsyncIterable<Uint8Array>
}

const WRAPPER = 'base_model.model.'

/**
 * The folder's files, small ones first. Nothing of the weights is read before their chunks are asked for.
 *
 * @param adapter null: the base alone, in another type or out of a GGUF file
 * @throws FormatError of the base's files, `export/…`; MismatchError for an adapter of another base
 */
export async function mergedModel(
  sources: ModelSources,
  adapter: Adapter | null,
  type: MergedType,
): Promise<OutputFile[]> {
  const description = await describeModelSources(sources)
  if (adapter) checkAdapterFits(description.spec, adapter)
  const texts = await textFiles(sources, description, type)
  const files = Array.from(texts, ([name, bytes]) => ({ name, bytes: bytes.length, chunks: once(bytes) }))
  const entries = Array.from(description.tensors, ([name, { tensor }]): SafetensorsEntry => {
    return { name, dtype: TYPES[type].dtype, shape: tensor.shape }
  }).filter(({ name }) => !description.spec.gguf?.ownTensors.has(name))
  const { header, dataBytes } = safetensorsHeader(entries, { format: 'pt' })
  const modules = adapter && withoutCores(adapter).modules
  const weights = async function* () {
    yield header
    for (const { name } of entries) {
      const values = await readTensor(sources, description, name)
      const factors = modules?.get(WRAPPER + name.replace(/\.weight$/, ''))
      if (factors) addDelta(values, factors)
      yield encoded(values, type, name)
    }
  }
  return [...files, { name: SINGLE_FILE, bytes: header.length + dataBytes, chunks: weights() }]
}

async function* once(bytes: Uint8Array) {
  yield bytes
}

async function readTensor(
  sources: ModelSources,
  { tensors }: ModelDescription,
  name: string,
): Promise<Float32Array> {
  const { file, tensor } = needFile(tensors, name)
  return tensor.decode(await readExactly(needFile(sources, file), tensor.begin, tensor.bytes))
}

/** weight [out, in] += alpha / rank · B A, each entry summed in float64 and rounded once. */
export function addDelta(weight: Float32Array, factors: LoraFactors): void {
  const { a, b, rank, inFeatures, outFeatures, alpha } = factors
  if (rank === 0) return
  const scale = alpha / rank
  const row = new Float64Array(inFeatures)
  for (let out = 0; out < outFeatures; out++) {
    row.fill(0)
    for (let k = 0; k < rank; k++) {
      const factor = scale * b[out * rank + k]
      for (let i = 0; i < inFeatures; i++) row[i] += factor * a[k * inFeatures + i]
    }
    for (let i = 0; i < inFeatures; i++) weight[out * inFeatures + i] += row[i]
  }
}

function encoded(values: Float32Array, type: MergedType, name: string): Uint8Array {
  if (type === 'f32') return bytesOf(values)
  if (type === 'bf16') return bytesOf(float32ToBfloat16(values))
  const halves = float32ToFloat16(values)
  if (halves.some((half) => (half & 0x7c00) === 0x7c00)) {
    throw new FormatError('export/overflow', `${name} holds numbers beyond float16; take bf16 or f32.`)
  }
  return bytesOf(halves)
}

const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)

async function textFiles(
  sources: ModelSources,
  description: ModelDescription,
  type: MergedType,
): Promise<Map<string, Uint8Array>> {
  const { torch } = TYPES[type]
  const gguf = ggufFileName(sources.keys())
  if (gguf === undefined) {
    const files = new Map<string, Uint8Array>()
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
      const source = sources.get(name)
      if (source) files.set(name, await readExactly(source, 0, source.bytes))
    }
    const own: Record<string, unknown> = JSON.parse(new TextDecoder().decode(files.get('config.json')))
    const key = own.torch_dtype === undefined ? 'dtype' : 'torch_dtype'
    return files.set('config.json', json({ ...own, [key]: torch }))
  }
  const { metadata } = await readGgufHeader(needFile(sources, gguf))
  const files = await description.spec.gguf!.folderFiles(metadata, async (name) =>
    description.tensors.has(name) ? readTensor(sources, description, name) : undefined,
  )
  return new Map(
    Array.from(files, ([name, value]) => [
      name,
      json(name === 'config.json' ? { ...value, torch_dtype: torch } : value),
    ]),
  )
}
