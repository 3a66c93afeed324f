/**
 * The reference fixtures (models/fixtures, each folder with a README) and the embedded model, wherever their files
 * are read from: the disk in Node, what was fetched before in a browser.
 */
import type { Adapter } from '../adapters/adapter.ts'
import { readPeftAdapter } from '../formats/peft.ts'
import { parseSafetensors, toFloat32 } from '../formats/safetensors.ts'

export type LlamaFixture = 'nano' | 'nano-untied' | 'tiny'
export type DiffusionFixture = 'emoji-dit-nano' | 'emoji-dit'
export type FixtureModel = LlamaFixture | DiffusionFixture

/** Where a model's own files are, from models/. */
const MODEL_FOLDERS: Readonly<Record<FixtureModel, string>> = {
  nano: 'fixtures/nano',
  'nano-untied': 'fixtures/nano-untied',
  tiny: 'catalog/tiny',
  'emoji-dit-nano': 'fixtures/emoji-dit-nano',
  'emoji-dit': 'catalog/emoji-dit',
}

const MODEL_FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']

/** Folders, from models/, that hold a model and what it is compared with. */
export const fixtureFolders = (model: FixtureModel): string[] => [
  ...new Set([MODEL_FOLDERS[model], `fixtures/${model}`]),
]

export class FixtureSet {
  readonly #find: (path: string) => Uint8Array | undefined

  /** @param find a file by its path from models/, or undefined where there is none */
  constructor(find: (path: string) => Uint8Array | undefined) {
    this.#find = find
  }

  /** A file of models/fixtures. */
  bytes(path: string): Uint8Array {
    const found = this.#find(`fixtures/${path}`)
    if (!found) throw new Error(`there is no fixture ${path}`)
    return found
  }

  text(path: string): string {
    return new TextDecoder().decode(this.bytes(path))
  }

  // biome-ignore lint/suspicious/noExplicitAny: each fixture's README says what it holds
  json(path: string): any {
    return JSON.parse(this.text(path))
  }

  /** Every tensor of a safetensors fixture by name. */
  tensors(path: string): (name: string) => Float32Array {
    const { tensors } = parseSafetensors(this.bytes(path))
    return (name) => {
      const tensor = tensors.get(name)
      if (!tensor) throw new Error(`${path} holds no ${name}`)
      return toFloat32(tensor)
    }
  }

  adapter(folder: string): Adapter {
    return readPeftAdapter(
      this.bytes(`${folder}/adapter_config.json`),
      this.bytes(`${folder}/adapter_model.safetensors`),
    )
  }

  /** The model's files as `loadModel` takes them. */
  modelFiles(model: FixtureModel): ReadonlyMap<string, Uint8Array> {
    const files = new Map<string, Uint8Array>()
    for (const name of MODEL_FILES) {
      const found = this.#find(`${MODEL_FOLDERS[model]}/${name}`)
      if (found) files.set(name, found)
    }
    return files
  }
}
