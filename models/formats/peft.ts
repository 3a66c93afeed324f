/**
 * PEFT's adapter folder: adapter_config.json and adapter_model.safetensors, as `PeftModel.from_pretrained`
 * of Hugging Face's peft reads and writes them. Tensors are `NAME.lora_A.weight` [rank, in] and
 * `NAME.lora_B.weight` [out, rank] with NAME beginning `base_model.model.`.
 */
import { type Adapter, type LoraFactors, loraA, loraB, withoutCores } from '../adapters/adapter.ts'
import { FormatError } from '../errors.ts'
import { SHA256_HEX } from '../sha256.ts'
import { parsePeftConfig } from './peft-config.ts'
import {
  bytesOf,
  parseSafetensors,
  type SafetensorsInput,
  type SafetensorsTensor,
  toFloat32,
  writeSafetensors,
} from './safetensors.ts'

const WRAPPER = 'base_model.model.'
const FACTOR = /^(base_model\.model\..+)\.lora_(A|B)\.weight$/

/** Which base an adapter was trained on, where its file says so: SHA-256, 64 hexadecimal digits. */
export interface AdapterOrigin {
  /** `baseDigest` of the base model's files. */
  readonly base?: string | undefined
  /** `Tokenizer.vocabularyDigest`: the same for all files of one model, however quantised. */
  readonly vocabulary?: string | undefined
}

/** Where the tensors' file says so: PEFT reads adapter_config.json alone and would stumble over keys of ours in it. */
const ORIGIN_KEYS = { base: 'base_model_sha256', vocabulary: 'vocabulary_sha256' } as const

export interface PeftFolder {
  readonly 'adapter_config.json': Uint8Array
  readonly 'adapter_model.safetensors': Uint8Array
}

const malformed = (message: string) =>
  new FormatError('peft/malformed', `${message}; export the adapter with PEFT again.`)

const quote = (name: string) => JSON.stringify(name.length > 120 ? `${name.slice(0, 117)}...` : name)

/** Layer 2 before layer 10: the reader does not know the model, and this is every model's order of layers. */
const byLayer = new Intl.Collator('en', { numeric: true }).compare

function factorValues(tensor: SafetensorsTensor | undefined, name: string): Float32Array {
  if (!tensor) throw malformed(`The adapter lacks ${name}`)
  if (tensor.shape.length !== 2) throw malformed(`The adapter's ${name} is not a matrix`)
  if (!['F32', 'F16', 'BF16', 'F64'].includes(tensor.dtype)) {
    throw malformed(`The adapter's ${name} is ${tensor.dtype}, not a floating-point type`)
  }
  const values = toFloat32(tensor)
  if (!values.every(Number.isFinite)) throw malformed(`The adapter's ${name} holds NaN or infinity`)
  return values
}

/**
 * Modules come sorted by name, layers by number. A rank-stabilised adapter's scale is folded into alpha.
 *
 * @throws FormatError `peft/malformed`, `peft/unsupported`, `safetensors/malformed`.
 */
export function readPeftAdapter(config: Uint8Array | string, weights: Uint8Array): Adapter {
  const { scaling } = parsePeftConfig(config)
  const { tensors } = parseSafetensors(weights)
  const names = new Set<string>()
  for (const name of tensors.keys()) {
    const factor = FACTOR.exec(name)
    if (!factor) {
      throw new FormatError(
        'peft/unsupported',
        `The adapter holds ${quote(name)}, which is no LoRA factor of a linear layer; only plain LoRA can be read.`,
      )
    }
    names.add(factor[1])
  }
  if (names.size === 0) throw malformed('The adapter holds no factors')

  const modules = new Map<string, LoraFactors>()
  for (const name of [...names].sort(byLayer)) {
    const a = factorValues(tensors.get(loraA(name)), loraA(name))
    const b = factorValues(tensors.get(loraB(name)), loraB(name))
    const [rank, inFeatures] = tensors.get(loraA(name))!.shape
    const [outFeatures, rankOfB] = tensors.get(loraB(name))!.shape
    const expected = scaling(name.slice(WRAPPER.length))
    if (rank !== rankOfB || rank !== expected.rank) {
      throw malformed(
        `The factors of ${quote(name)} have rank ${rank} and ${rankOfB}, adapter_config.json says ${expected.rank}`,
      )
    }
    if (inFeatures === 0 || outFeatures === 0) throw malformed(`The factors of ${quote(name)} are empty`)
    modules.set(name, { name, inFeatures, outFeatures, rank, alpha: expected.alpha, a, b })
  }
  return { modules }
}

/** The value most modules share, the smallest of equals: what the patterns need not repeat. */
function mostCommon(values: readonly number[]): number {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([x, countX], [y, countY]) => countY - countX || x - y)[0][0]
}

/**
 * The same adapter gives the same bytes. Modules of rank 0 change nothing and PEFT has no form for them: they
 * are left out. A LoRA-SB adapter's core is folded into B: PEFT knows plain LoRA.
 *
 * @param baseModelName what PEFT calls `base_model_name_or_path`.
 * @throws FormatError `peft/empty` when no module is left.
 */
export function writePeftAdapter(
  adapter: Adapter,
  baseModelName: string,
  origin: AdapterOrigin = {},
): PeftFolder {
  const modules = [...withoutCores(adapter).modules.values()].filter((factors) => factors.rank > 0)
  if (modules.length === 0) {
    throw new FormatError(
      'peft/empty',
      'The adapter changes nothing, and PEFT has no form for that; merge updates first.',
    )
  }
  const rank = mostCommon(modules.map((factors) => factors.rank))
  const alpha = mostCommon(modules.map((factors) => factors.alpha))
  const local = (factors: LoraFactors) => factors.name.slice(WRAPPER.length)
  const pattern = (property: 'rank' | 'alpha', usual: number) =>
    Object.fromEntries(
      modules
        .filter((factors) => factors[property] !== usual)
        .map((factors) => [local(factors), factors[property]]),
    )
  const config = {
    alpha_pattern: pattern('alpha', alpha),
    auto_mapping: null,
    base_model_name_or_path: baseModelName,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: pattern('rank', rank),
    revision: null,
    // Full names: a projection's name alone would also match layers this adapter leaves out.
    target_modules: modules.map(local),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  }
  const tensors = modules.flatMap((factors): SafetensorsInput[] => [
    {
      name: loraA(factors.name),
      dtype: 'F32',
      shape: [factors.rank, factors.inFeatures],
      bytes: bytesOf(factors.a),
    },
    {
      name: loraB(factors.name),
      dtype: 'F32',
      shape: [factors.outFeatures, factors.rank],
      bytes: bytesOf(factors.b),
    },
  ])
  return {
    'adapter_config.json': new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`),
    'adapter_model.safetensors': writeSafetensors(tensors, { format: 'pt', ...originMetadata(origin) }),
  }
}

function originMetadata({ base, vocabulary }: AdapterOrigin): Record<string, string> {
  return {
    ...(base !== undefined && { [ORIGIN_KEYS.base]: base }),
    ...(vocabulary !== undefined && { [ORIGIN_KEYS.vocabulary]: vocabulary }),
  }
}

/**
 * What adapter_model.safetensors says of the base; nothing where it was written by another program.
 *
 * @throws FormatError `safetensors/malformed`
 */
export function readAdapterOrigin(weights: Uint8Array): AdapterOrigin {
  const { metadata } = parseSafetensors(weights)
  const digest = (key: string) => {
    const value = metadata.get(key)
    return value !== undefined && SHA256_HEX.test(value) ? value : undefined
  }
  return { base: digest(ORIGIN_KEYS.base), vocabulary: digest(ORIGIN_KEYS.vocabulary) }
}
