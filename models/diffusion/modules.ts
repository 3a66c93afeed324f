/**
 * The linear layers an adapter can sit on, under the names PEFT gives them (there is no second `model.`). Pure: the
 * relay writes a room's manifest from it without loading a model.
 */
import type { AdapterModule } from '../adapters/adapter.ts'
import type { DiffusionConfig } from './config.ts'

export const layerName = (layer: number) => `base_model.model.layers.${layer}`

/** Every one of every block, in the order the forward pass meets them. */
export function diffusionModules(config: DiffusionConfig): AdapterModule[] {
  const { hiddenSize: hidden, intermediateSize: intermediate } = config
  const width = config.heads * config.headDim
  return Array.from({ length: config.layers }, (_, layer) => {
    const module = (name: string, inFeatures: number, outFeatures: number): AdapterModule => ({
      name: `${layerName(layer)}.${name}`,
      inFeatures,
      outFeatures,
    })
    return [
      module('modulation', hidden, 6 * hidden),
      module('self_attn.q_proj', hidden, width),
      module('self_attn.k_proj', hidden, width),
      module('self_attn.v_proj', hidden, width),
      module('self_attn.o_proj', width, hidden),
      module('mlp.gate_proj', hidden, intermediate),
      module('mlp.up_proj', hidden, intermediate),
      module('mlp.down_proj', intermediate, hidden),
    ]
  }).flat()
}

/** What is trained unless something else is asked for: the seven projections, as in a Llama. */
export const projections = (config: DiffusionConfig): AdapterModule[] =>
  diffusionModules(config).filter(({ name }) => !name.endsWith('.modulation'))
