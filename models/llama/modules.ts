/**
 * The linear layers of a Llama that an adapter can sit on, under the names PEFT gives them. Pure: the relay
 * writes a room's manifest from it without loading a model.
 */
import type { AdapterModule } from '../adapters/adapter.ts'
import type { LlamaConfig } from './config.ts'

/** Every projection of every block, in the order the forward pass meets them. */
export function llamaModules(config: LlamaConfig): AdapterModule[] {
  const { hiddenSize, intermediateSize } = config
  const queryWidth = config.heads * config.headDim
  const keyWidth = config.kvHeads * config.headDim
  const modules: AdapterModule[] = []
  for (let layer = 0; layer < config.layers; layer++) {
    const add = (projection: string, inFeatures: number, outFeatures: number) =>
      modules.push({ name: `base_model.model.model.layers.${layer}.${projection}`, inFeatures, outFeatures })
    add('self_attn.q_proj', hiddenSize, queryWidth)
    add('self_attn.k_proj', hiddenSize, keyWidth)
    add('self_attn.v_proj', hiddenSize, keyWidth)
    add('self_attn.o_proj', queryWidth, hiddenSize)
    add('mlp.gate_proj', hiddenSize, intermediateSize)
    add('mlp.up_proj', hiddenSize, intermediateSize)
    add('mlp.down_proj', intermediateSize, hiddenSize)
  }
  return modules
}
