/**
 * A Llama in one GGUF file: what the header says of its configuration, tokenizer and chat template, and where each
 * weight lies under Hugging Face's name. Nothing but the header is read here.
 */
import type { GgufHeader } from '../formats/gguf-header.ts'
import type { StoredTensor } from '../formats/stored-tensor.ts'
import type { LlamaConfig } from './config.ts'
import { ggufLlamaConfig, refuseOtherModels } from './gguf-config.ts'
import { nameTensors, storedTensor, traitsOf } from './gguf-tensors.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface GgufLlama {
  readonly config: LlamaConfig
  readonly tokenizer: Tokenizer
  /** By Hugging Face's name: `model.layers.0.self_attn.q_proj.weight`. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
}

/**
 * @throws FormatError `config/unsupported`, `config/malformed`, `model/unsupported-tensor`, `model/wrong-shape`,
 * `gguf/type`, `tokenizer/unsupported`, `tokenizer/malformed`
 */
export function readGgufLlama({ metadata, tensors }: GgufHeader): GgufLlama {
  // First: another architecture has other tensors, and is to be refused by its name.
  refuseOtherModels(metadata)
  const named = nameTensors(tensors)
  const config = ggufLlamaConfig(metadata, traitsOf(named))
  const stored = Array.from(named, ([name, tensor]) => [name, storedTensor(name, tensor, config)] as const)
  return { config, tokenizer: ggufTokenizer(metadata), tensors: new Map(stored) }
}
