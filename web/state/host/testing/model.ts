/** A base model as a relay offers it, small enough to reckon with by hand. */
import type { OfferedModel } from '../../../../relay/protocol/host.ts'

const digest = (letter: string) => letter.repeat(64) as OfferedModel['digest']

export const testModel: OfferedModel = {
  id: 'tiny',
  family: 'llama',
  license: 'Apache-2.0',
  digest: digest('a'),
  files: [{ name: 'model.safetensors', bytes: 4_000_000, sha256: digest('b') }],
  modules: [
    { name: 'base_model.model.model.layers.0.self_attn.q_proj', inFeatures: 128, outFeatures: 128 },
    { name: 'base_model.model.model.layers.0.mlp.up_proj', inFeatures: 128, outFeatures: 352 },
  ],
  maxTokens: 512,
  makesStarts: false,
  starts: [{ name: 'lora-sb-rank-4.safetensors', bytes: 1000, sha256: digest('c') }],
}
