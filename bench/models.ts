/** The models a step or a text is timed on, each loaded once a run onto the plan engine. */
import { readFile } from 'node:fs/promises'
import type { Engine } from '../models/backend/engine.ts'
import { describeModelSources } from '../models/catalog/model-files.ts'
import { type Placer, streamAll, type TensorSource } from '../models/families/placing.ts'
import { readExactly } from '../models/formats/byte-source.ts'
import { staysPacked } from '../models/formats/gguf-packed.ts'
import { parseSafetensors, toFloat32 } from '../models/formats/safetensors.ts'
import { type LlamaConfig, parseLlamaConfig } from '../models/llama/config.ts'
import { LlamaModel } from '../models/llama/model.ts'
import { placingLlama } from '../models/llama/weights.ts'
import { asLlama, type LoadedLlama, loadLlama, streamLlama } from '../models/testing/llama.ts'
import type { SmolLm2 } from './smollm2.ts'

export interface BenchModel {
  readonly name: string
  readonly config: LlamaConfig
  /** Of what was read to load it. */
  readonly fileBytes: number
  load(engine: Engine): Promise<LoadedLlama>
  /** Every weight in float32. */
  unpacked(): Promise<TensorSource>
}

export async function tinyModel(): Promise<BenchModel> {
  const folder = new URL('../models/catalog/tiny/', import.meta.url)
  const files = new Map<string, Uint8Array>()
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    files.set(name, await readFile(new URL(name, folder)))
  const weights = files.get('model.safetensors')!
  const { tensors } = parseSafetensors(weights)
  return {
    name: 'tiny',
    config: parseLlamaConfig(JSON.parse(new TextDecoder().decode(files.get('config.json')))),
    fileBytes: weights.length,
    load: async (engine) => loadLlama(engine, files),
    unpacked: async () => (name) => {
      const tensor = tensors.get(name)
      return tensor && { shape: tensor.shape, values: toFloat32(tensor) }
    },
  }
}

export const smolLm2Model = (smolLm2: SmolLm2): BenchModel => ({
  name: 'smollm2-135m',
  config: smolLm2.config,
  fileBytes: smolLm2.source.bytes,
  load: (engine) => streamLlama(engine, smolLm2.source),
  unpacked: () => smolLm2.unpacked(),
})

/** Its first layers and the head: what a machine that is too slow for the whole can still compare. */
export function smolLm2Layers(smolLm2: SmolLm2, layers: number): BenchModel {
  const config = { ...smolLm2.config, layers }
  return {
    ...smolLm2Model(smolLm2),
    name: `smollm2-135m, ${layers} layers and head`,
    config,
    async load(engine) {
      const { ready, tensors } = await describeModelSources(new Map([['model.gguf', smolLm2.source]]))
      const place = (placer: Placer) => placingLlama(config, placer)
      const weights = await streamAll(engine, place, async (name) => {
        const tensor = tensors.get(name)?.tensor
        if (!tensor) return undefined
        const raw = await readExactly(smolLm2.source, tensor.begin, tensor.bytes)
        const { type, shape } = tensor
        return staysPacked(type, shape)
          ? { type, shape: [shape[0], shape[1]], blocks: tensor.pack(raw) }
          : { shape, values: tensor.decode(raw) }
      })
      return asLlama(ready(new LlamaModel(engine, config, weights)))
    },
  }
}
