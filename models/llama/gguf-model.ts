/**
 * A model in one GGUF file: what the header says of its configuration, tokenizer and chat template, and where each
 * weight lies under Hugging Face's name. Nothing but the header is read here.
 */
import type { GgufHeader } from '../formats/gguf-header.ts'
import type { StoredTensor } from '../formats/stored-tensor.ts'
import { ggufTokenizer } from '../text/gguf-tokenizer.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { LlamaConfig } from './config.ts'
import { ggufArchitecture, ggufLlamaConfig } from './gguf-config.ts'
import { nameTensors, storedTensor, traitsOf } from './gguf-tensors.ts'

export interface GgufLlama {
  readonly config: LlamaConfig
  readonly tokenizer: Tokenizer
  /** By Hugging Face's name: `model.layers.0.self_attn.q_proj.weight`. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
}

/**
 * The configuration alone: quicker by the tokenizer.
 *
 * @throws FormatError `config/unsupported`, `config/malformed`, `model/unsupported-tensor`, `gguf/type`
 */
export function readGgufConfig(header: GgufHeader): LlamaConfig {
  return configAndNames(header).config
}

/**
 * Configuration and tensors, without the tokenizer.
 *
 * @throws FormatError as `readGgufConfig`, and `model/wrong-shape`
 */
export function readGgufOutline(header: GgufHeader): Omit<GgufLlama, 'tokenizer'> {
  const { config, named } = configAndNames(header)
  const stored = Array.from(named, ([name, tensor]) => [name, storedTensor(name, tensor, config)] as const)
  return { config, tensors: new Map(stored) }
}

/**
 * @throws FormatError as `readGgufOutline`, and `tokenizer/unsupported`, `tokenizer/malformed`
 */
export function readGgufLlama(header: GgufHeader): GgufLlama {
  return { ...readGgufOutline(header), tokenizer: ggufTokenizer(header.metadata) }
}

function configAndNames({ metadata, tensors }: GgufHeader) {
  // First: another architecture has other tensors, and is to be refused by its name.
  const architecture = ggufArchitecture(metadata)
  const named = nameTensors(tensors)
  return { config: ggufLlamaConfig(metadata, architecture, traitsOf(named)), named }
}
