/**
 * A LoRA adapter as llama.cpp loads it (`--lora`): one GGUF file of type adapter with `TENSOR.lora_a` [rank, in] and
 * `TENSOR.lora_b` [out, rank] for each changed tensor, by llama.cpp's names and in its order of rows. The delta is
 * `adapter.lora.alpha` / rank · B A, where rank is the tensor's own and alpha one for all.
 * https://github.com/ggml-org/llama.cpp/blob/master/convert_lora_to_gguf.py
 */
import { type Adapter, type LoraFactors, withoutCores } from '../adapters/adapter.ts'
import { FormatError, MismatchError } from '../errors.ts'
import { type ByteSource, readExactly } from '../formats/byte-source.ts'
import { readGgufHeader } from '../formats/gguf.ts'
import { dequantise } from '../formats/gguf-dequantise.ts'
import type { GgufHeader, GgufTensor } from '../formats/gguf-header.ts'
import { showValue } from '../formats/gguf-metadata.ts'
import { type GgufOutput, ggufChunks } from '../formats/gguf-writer.ts'
import { bytesOf } from '../formats/safetensors.ts'
import type { LlamaConfig } from './config.ts'
import { ggufName, huggingFaceName, permutedHeads, permuteRows, unpermuteRows } from './gguf-tensors.ts'

const WRAPPER = 'base_model.model.'

const malformed = (message: string) =>
  new FormatError('gguf/malformed', `This GGUF adapter ${message}; export it again.`)

/**
 * The file in pieces. Factors of a module whose alpha is another than most modules' are scaled into B.
 *
 * @param name of the adapter, for people
 * @throws FormatError `gguf/empty`; MismatchError `adapter/unknown-module`
 */
export function* ggufAdapter(
  adapter: Adapter,
  config: LlamaConfig,
  name: string,
): Generator<Uint8Array, void, undefined> {
  const modules = [...withoutCores(adapter).modules.values()].filter(({ rank }) => rank > 0)
  if (modules.length === 0)
    throw new FormatError('gguf/empty', 'The adapter changes nothing; merge updates first.')
  // 0 would mean to llama.cpp that there is no alpha.
  const alpha = Math.fround(modules.find((factors) => factors.alpha !== 0)?.alpha ?? 1)
  const tensors = modules.flatMap((factors): GgufOutput[] => {
    const base = ggufName(`${factors.name.slice(WRAPPER.length)}.weight`)
    if (!factors.name.startsWith(WRAPPER) || base === undefined) {
      throw new MismatchError(
        'adapter/unknown-module',
        `The adapter changes ${factors.name}, for which llama.cpp has no name; export it as a PEFT folder.`,
      )
    }
    return [
      {
        name: `${base}.lora_a`,
        type: 'F32',
        shape: [factors.rank, factors.inFeatures],
        bytes: () => bytesOf(factors.a),
      },
      {
        name: `${base}.lora_b`,
        type: 'F32',
        shape: [factors.outFeatures, factors.rank],
        bytes: () => permutedB(factors, alpha, config),
      },
    ]
  })
  yield* ggufChunks(
    {
      'general.architecture': { type: 'string', value: config.architecture },
      'general.type': { type: 'string', value: 'adapter' },
      'general.name': { type: 'string', value: name },
      'adapter.type': { type: 'string', value: 'lora' },
      'adapter.lora.alpha': { type: 'float32', value: alpha },
    },
    tensors,
  )
}

function permutedB(factors: LoraFactors, alpha: number, config: LlamaConfig): Uint8Array {
  const ratio = Math.fround(factors.alpha / alpha)
  const b = ratio === 1 ? factors.b : factors.b.map((value) => value * ratio)
  const heads = permutedHeads(`${factors.name}.weight`, config)
  return heads === 0 ? bytesOf(b) : permuteRows(bytesOf(b), heads, config.headDim)
}

interface FoundFactors {
  a?: GgufTensor
  b?: GgufTensor
}

/**
 * @param config of the base, whose heads say how rows were moved
 * @throws FormatError `gguf/malformed`, `gguf/type`, `file/changed`; MismatchError `adapter/other-base`
 */
export async function readGgufAdapter(source: ByteSource, config: LlamaConfig): Promise<Adapter> {
  const header = await readGgufHeader(source)
  const alpha = checkedAlpha(header, config)
  const modules = new Map<string, LoraFactors>()
  for (const [name, { a, b }] of factorsByModule(header)) {
    if (!a || !b) throw malformed(`holds one factor of ${name} alone`)
    const values = async ({ type, begin, bytes, shape }: GgufTensor) => {
      if (shape.length !== 2) throw malformed(`has factors of ${name} that are no matrices`)
      const numbers = dequantise(type, await readExactly(source, begin, bytes))
      if (!numbers.every(Number.isFinite)) throw malformed(`holds NaN or infinity in ${name}`)
      return numbers
    }
    const [rank, inFeatures] = a.shape
    const [outFeatures, rankOfB] = b.shape
    const rows = await values(b)
    if (rank !== rankOfB) throw malformed(`has factors of ${name} with ranks ${rank} and ${rankOfB}`)
    const heads = permutedHeads(`${name}.weight`, config)
    if (heads > 0 && outFeatures !== heads * config.headDim) {
      throw new MismatchError(
        'adapter/wrong-shape',
        `The adapter's ${name} has ${outFeatures} rows, the base model's ${heads * config.headDim}; use the base it was trained on.`,
      )
    }
    const ordered = heads === 0 ? rows : asFloats(unpermuteRows(bytesOf(rows), heads, config.headDim))
    modules.set(name, {
      name,
      inFeatures,
      outFeatures,
      rank,
      alpha: alpha ?? rank,
      a: await values(a),
      b: ordered,
    })
  }
  if (modules.size === 0) throw malformed('holds no factors')
  return { modules }
}

const asFloats = (bytes: Uint8Array) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)

/** Alpha; undefined where the file says 0, which llama.cpp takes as alpha = rank. */
function checkedAlpha({ metadata }: GgufHeader, config: LlamaConfig): number | undefined {
  const type = metadata.get('general.type')
  const kind = metadata.get('adapter.type')
  if (type !== 'adapter' || kind !== 'lora') {
    throw new FormatError(
      'gguf/no-adapter',
      `This GGUF file is of type ${showValue(type)} (${showValue(kind)}), not a LoRA adapter; name an adapter's file.`,
    )
  }
  const architecture = metadata.get('general.architecture')
  if (architecture !== config.architecture) {
    throw new MismatchError(
      'adapter/other-base',
      `The adapter is for a model of architecture ${showValue(architecture)}, this one is ${config.architecture}; use the base it was trained on.`,
    )
  }
  const alpha = metadata.get('adapter.lora.alpha')
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) throw malformed('lacks adapter.lora.alpha')
  return alpha === 0 ? undefined : alpha
}

function factorsByModule({ tensors }: GgufHeader): Map<string, FoundFactors> {
  const found = new Map<string, FoundFactors>()
  for (const tensor of tensors) {
    const match = /^(.+\.weight)\.lora_([ab])$/.exec(tensor.name)
    const name = match && huggingFaceName(match[1])
    if (!match || !name || tensor.name.startsWith('token_embd') || name.includes('norm')) {
      throw new FormatError(
        'gguf/unsupported-adapter',
        `This GGUF adapter holds ${tensor.name}, which is no factor of a projection; only plain LoRA can be read.`,
      )
    }
    const module = WRAPPER + name.slice(0, -'.weight'.length)
    const factors = found.get(module) ?? {}
    factors[match[2] as 'a' | 'b'] = tensor
    found.set(module, factors)
  }
  return found
}
