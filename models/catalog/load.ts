/**
 * From a model's files to a model on an engine. The family is read from config.json; adding a family is one
 * entry here.
 */
import type { Engine } from '../backend/engine.ts'
import { FormatError } from '../errors.ts'
import { parseSafetensors, toFloat32 } from '../formats/safetensors.ts'
import { parseLlamaConfig } from '../llama/config.ts'
import { LlamaModel } from '../llama/model.ts'
import { createTokenizer, type Tokenizer } from '../llama/tokenizer.ts'

export interface LoadedModel {
  readonly model: LlamaModel
  readonly tokenizer: Tokenizer
  dispose(): void
}

/** The files of a model in Hugging Face's layout, by name. */
export type ModelFiles = ReadonlyMap<string, Uint8Array>

export function loadModel(engine: Engine, files: ModelFiles): LoadedModel {
  const config = parseLlamaConfig(json(files, 'config.json'))
  const tokenizer = createTokenizer(
    json(files, 'tokenizer.json'),
    files.has('tokenizer_config.json') ? json(files, 'tokenizer_config.json') : {},
    config,
  )
  if (tokenizer.vocabularySize > config.vocabularySize) {
    throw new FormatError(
      'model/vocabulary',
      `tokenizer.json has ${tokenizer.vocabularySize} tokens, the model ${config.vocabularySize}; the two files are not of one model.`,
    )
  }
  const { tensors } = parseSafetensors(need(files, 'model.safetensors'))
  const model = new LlamaModel(engine, config, (name) => {
    const tensor = tensors.get(name)
    return tensor && { shape: tensor.shape, values: toFloat32(tensor) }
  })
  return { model, tokenizer, dispose: () => model.dispose() }
}

function need(files: ModelFiles, name: string): Uint8Array {
  const bytes = files.get(name)
  if (!bytes)
    throw new FormatError(
      'model/missing-file',
      `The model lacks ${name}; a model folder needs config.json, tokenizer.json and model.safetensors.`,
    )
  return bytes
}

function json(files: ModelFiles, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(need(files, name)))
  } catch (error) {
    if (error instanceof FormatError) throw error
    throw new FormatError('model/bad-json', `${name} is not valid JSON; download the model again.`, {
      cause: error,
    })
  }
}
