/**
 * A model's tensors in a GGUF file under Hugging Face's names and in its order of rows. Of a Llama, llama.cpp rotates
 * neighbouring entries of a head, Hugging Face entry i with entry i + headDim / 2: the converter moves the rows of
 * q and k so (its `permute`), and this undoes it. Of a Qwen both rotate as Hugging Face does. Rows are moved packed: a row of a quantised matrix is whole
 * blocks.
 */
import { FormatError } from '../errors.ts'
import { DEQUANTISED_TYPES, dequantise } from '../formats/gguf-dequantise.ts'
import type { GgufTensor } from '../formats/gguf-header.ts'
import type { StoredTensor } from '../formats/stored-tensor.ts'
import type { LlamaConfig } from './config.ts'
import type { GgufTraits } from './gguf-config.ts'
import { ROPE_FACTORS_TENSOR } from './rope-scaling.ts'

const OUTER_NAMES: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
  [ROPE_FACTORS_TENSOR]: ROPE_FACTORS_TENSOR,
}

const NORM_NAMES: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
}

const ATTENTION_NAMES: Readonly<Record<string, string>> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
}

const MLP_NAMES: Readonly<Record<string, string>> = {
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

const BLOCK_TENSOR = /^blk\.(0|[1-9]\d{0,3})\.([a-z_]+)\.(weight|bias)$/

const own = (names: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(names, key) ? names[key] : undefined

/** Undefined for a tensor that these models do not have. */
export function huggingFaceName(ggufName: string): string | undefined {
  const outer = own(OUTER_NAMES, ggufName)
  if (outer) return outer
  const match = BLOCK_TENSOR.exec(ggufName)
  if (!match) return undefined
  const [, layer, part, kind] = match
  const norm = kind === 'weight' ? own(NORM_NAMES, part) : undefined
  const name = norm ?? own(ATTENTION_NAMES, part) ?? own(MLP_NAMES, part)
  return name && `model.layers.${layer}.${name}.${kind}`
}

/** The inverse; undefined for a name that llama.cpp has none for. */
export function ggufName(huggingFace: string): string | undefined {
  const outer = keyOf(OUTER_NAMES, huggingFace)
  if (outer) return outer
  const match = /^model\.layers\.(0|[1-9]\d{0,3})\.(.+)\.(weight|bias)$/.exec(huggingFace)
  if (!match) return undefined
  const [, layer, module, kind] = match
  const norm = kind === 'weight' ? keyOf(NORM_NAMES, module) : undefined
  const part = norm ?? keyOf(ATTENTION_NAMES, module) ?? keyOf(MLP_NAMES, module)
  return part && `blk.${layer}.${part}.${kind}`
}

const keyOf = (names: Readonly<Record<string, string>>, value: string): string | undefined =>
  Object.keys(names).find((key) => names[key] === value)

/**
 * @returns the file's tensors by Hugging Face's names
 * @throws FormatError `model/unsupported-tensor`, `gguf/type`
 */
export function nameTensors(tensors: readonly GgufTensor[]): ReadonlyMap<string, GgufTensor> {
  const named = new Map<string, GgufTensor>()
  for (const tensor of tensors) {
    const name = huggingFaceName(tensor.name)
    if (!name) {
      throw new FormatError(
        'model/unsupported-tensor',
        `This GGUF file holds the tensor ${tensor.name}, which models of its architecture do not have; without it the model would answer wrongly, so choose another.`,
      )
    }
    if (!DEQUANTISED_TYPES.includes(tensor.type)) {
      throw new FormatError(
        'gguf/type',
        `This GGUF file holds ${tensor.name} as ${tensor.type}; choose a file quantised as one of ${DEQUANTISED_TYPES.join(', ')}.`,
      )
    }
    named.set(name, tensor)
  }
  return named
}

export function traitsOf(named: ReadonlyMap<string, GgufTensor>): GgufTraits {
  const names = [...named.keys()]
  const biased = (part: string) => names.some((name) => name.includes(`.${part}`) && name.endsWith('.bias'))
  return {
    tiedEmbeddings: !named.has('lm_head.weight'),
    attentionBias: ['q_proj', 'k_proj', 'v_proj'].some((name) => biased(`self_attn.${name}`)),
    outputBias: biased('self_attn.o_proj'),
    qkNorm: names.some((name) => name.endsWith('.self_attn.q_norm.weight')),
    mlpBias: biased('mlp.'),
    ropeScaling: named.has(ROPE_FACTORS_TENSOR) ? 'in-file' : null,
  }
}

/** How many heads' rows the converter permuted in this tensor; 0 where it left them alone. */
export function permutedHeads(name: string, config: LlamaConfig): number {
  const { architecture, heads, kvHeads } = config
  if (architecture !== 'llama') return 0
  if (name.includes('.self_attn.q_proj.')) return heads
  return name.includes('.self_attn.k_proj.') ? kvHeads : 0
}

/** Row 2i + s of each head goes to row s * headDim / 2 + i, for s in {0, 1}. */
export const unpermuteRows = (bytes: Uint8Array, heads: number, headDim: number): Uint8Array =>
  movedRows(bytes, heads, headDim, (row, from) => [from, row])

/** The converter's own move: the inverse of `unpermuteRows`. */
export const permuteRows = (bytes: Uint8Array, heads: number, headDim: number): Uint8Array =>
  movedRows(bytes, heads, headDim, (row, from) => [row, from])

/** `direction` gives the row to read and the row to write, of a row in Hugging Face's order and llama.cpp's. */
function movedRows(
  bytes: Uint8Array,
  heads: number,
  headDim: number,
  direction: (huggingFace: number, llamaCpp: number) => readonly [number, number],
): Uint8Array {
  const rowBytes = bytes.length / (heads * headDim)
  const half = headDim / 2
  const ordered = new Uint8Array(bytes.length)
  for (let row = 0; row < heads * headDim; row++) {
    const within = row % headDim
    const [from, to] = direction(row, row - within + 2 * (within % half) + (within < half ? 0 : 1))
    ordered.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), to * rowBytes)
  }
  return ordered
}

/**
 * Where a tensor lies and how its bytes are read.
 *
 * @param name Hugging Face's
 * @throws FormatError `model/wrong-shape` where the rows of q or k are not the configured heads'
 */
export function storedTensor(
  name: string,
  { type, shape, begin, bytes }: GgufTensor,
  config: LlamaConfig,
): StoredTensor {
  const heads = permutedHeads(name, config)
  if (heads === 0)
    return { type, shape, begin, bytes, pack: (raw) => raw, decode: (raw) => dequantise(type, raw) }
  // A quantised list, where a row would be a part of a block, is no llama.cpp converter's.
  const rowsAreBytes = Number.isInteger(bytes / shape[0])
  if (shape[0] !== heads * config.headDim || !rowsAreBytes) {
    throw new FormatError(
      'model/wrong-shape',
      `The GGUF file's ${name} is ${type} [${shape}], its metadata say ${heads} heads of ${config.headDim}; download the file again.`,
    )
  }
  const pack = (raw: Uint8Array) => unpermuteRows(raw, heads, config.headDim)
  return { type, shape, begin, bytes, pack, decode: (raw) => dequantise(type, pack(raw)) }
}
