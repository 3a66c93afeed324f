/**
 * PEFT's adapter_config.json: what of it a plain LoRA needs, and a refusal by name of every option that
 * would change what the factors mean.
 * https://huggingface.co/docs/peft/package_reference/lora
 */
import { FormatError } from '../errors.ts'
import { decodeUtf8, parseStrictJson, StrictJsonError } from './strict-json.ts'

export interface PeftConfig {
  readonly baseModelName: string
  /**
   * Rank and alpha / rank of a module, given its name below `base_model.model.`, e.g.
   * `model.layers.0.self_attn.q_proj`.
   */
  scaling(module: string): { readonly rank: number; readonly alpha: number }
}

type Json = Record<string, unknown>

/** Larger ranks than any weight matrix's smaller side are a mistake or an attack. */
export const MAX_RANK = 65_536

const MAX_CONFIG_BYTES = 1_000_000
const MAX_CONFIG_DEPTH = 16

/** Options that must say "no" (absent, null, false or empty), and what they would switch on. */
const REFUSED: Readonly<Record<string, string>> = {
  use_dora: 'DoRA',
  lora_bias: 'biases on the factors',
  fan_in_fan_out: 'transposed weights',
  modules_to_save: 'whole modules beside the factors',
  trainable_token_indices: 'trained token embeddings',
  target_parameters: 'adapters on bare parameters',
  layer_replication: 'replicated layers',
  use_qalora: 'QA-LoRA',
  use_bdlora: 'BD-LoRA',
  alora_invocation_tokens: 'activated LoRA',
  arrow_config: 'Arrow routing',
  kasa_config: 'KaSA',
  velora_config: 'VeLoRA',
  monteclora_config: 'MonteCLoRA',
  megatron_config: 'Megatron layers',
}

/** Initialisations that leave the base weights as they are; PiSSA, OLoRA, CorDA and LoftQ change them. */
const PLAIN_INITIALISATIONS: readonly unknown[] = [
  true,
  false,
  null,
  undefined,
  'gaussian',
  'eva',
  'orthogonal',
]

const malformed = (message: string) =>
  new FormatError('peft/malformed', `adapter_config.json ${message}; export the adapter with PEFT again.`)

const unsupported = (option: string, what: string) =>
  new FormatError(
    'peft/unsupported',
    `The adapter uses ${what} (${option} in adapter_config.json); only plain LoRA, also rank-stabilised and with rank and alpha patterns, can be read.`,
  )

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function isNeutral(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true
  if (Array.isArray(value)) return value.length === 0
  return isObject(value) && Object.keys(value).length === 0
}

function rankFrom(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_RANK) {
    throw malformed(`needs ${where} as a whole number from 1 to ${MAX_RANK}`)
  }
  return value
}

function alphaFrom(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || Math.abs(value) > 1e9) {
    throw malformed(`needs ${where} as a number of magnitude below 1e9`)
  }
  return value
}

/**
 * PEFT treats a pattern's key as a regular expression that must match the end of a module's name at a dot.
 * Strangers' regular expressions are not run: a key may be a literal name, with `^` for the whole name and
 * `\.` for a dot.
 */
function readPattern<T>(
  json: Json,
  option: string,
  read: (value: unknown, where: string) => T,
): (module: string) => T | undefined {
  const pattern = json[option] ?? {}
  if (!isObject(pattern)) throw malformed(`needs ${option} as an object`)
  const entries = Object.entries(pattern).map(([key, value]) => {
    const literal = /^(\^?)([\w.\\-]+?)(\$?)$/.exec(key)
    const name = literal?.[2].replaceAll('\\.', '.')
    if (!literal || !name || name.includes('\\')) {
      throw unsupported(option, `the regular expression ${JSON.stringify(key.slice(0, 80))}`)
    }
    return { whole: literal[1] === '^', name, value: read(value, `${option} of ${name.slice(0, 80)}`) }
  })
  const exact = new Map(entries.map((entry) => [entry.name, entry.value]))
  const onlyWholeNames = entries.every((entry) => entry.whole)
  return (module) => {
    if (onlyWholeNames) return exact.get(module)
    return entries.find(({ whole, name }) => module === name || (!whole && module.endsWith(`.${name}`)))
      ?.value
  }
}

/** @throws FormatError `peft/malformed` or `peft/unsupported`. */
export function parsePeftConfig(config: Uint8Array | string): PeftConfig {
  const json = parseJson(config)
  if (json.peft_type !== 'LORA') throw unsupported('peft_type', String(json.peft_type).slice(0, 80))
  for (const [option, what] of Object.entries(REFUSED)) {
    if (!isNeutral(json[option])) throw unsupported(option, what)
  }
  if ((json.bias ?? 'none') !== 'none') throw unsupported('bias', 'trained biases')
  if (!PLAIN_INITIALISATIONS.includes(json.init_lora_weights)) {
    throw unsupported('init_lora_weights', 'an initialisation that changes the base weights')
  }
  const defaultRank = rankFrom(json.r, 'r')
  const defaultAlpha = alphaFrom(json.lora_alpha, 'lora_alpha')
  const rankOf = readPattern(json, 'rank_pattern', rankFrom)
  const alphaOf = readPattern(json, 'alpha_pattern', alphaFrom)
  const rankStabilised = json.use_rslora === true
  return {
    baseModelName: typeof json.base_model_name_or_path === 'string' ? json.base_model_name_or_path : '',
    scaling(module) {
      const rank = rankOf(module) ?? defaultRank
      const alpha = alphaOf(module) ?? defaultAlpha
      // Rank-stabilised LoRA scales by alpha / sqrt(r): the same as this alpha over r.
      return { rank, alpha: rankStabilised ? alpha * Math.sqrt(rank) : alpha }
    },
  }
}

function parseJson(config: Uint8Array | string): Json {
  if (config.length > MAX_CONFIG_BYTES) throw malformed(`is larger than ${MAX_CONFIG_BYTES} bytes`)
  try {
    const json = parseStrictJson(typeof config === 'string' ? config : decodeUtf8(config), MAX_CONFIG_DEPTH)
    if (!isObject(json)) throw malformed('is not a JSON object')
    return json
  } catch (error) {
    if (error instanceof StrictJsonError) throw malformed(error.message)
    throw error
  }
}
