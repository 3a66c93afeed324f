/** Reads the reference fixtures (models/fixtures, each folder with a README) and the embedded model. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Adapter } from '../adapters/adapter.ts'
import { readPeftAdapter } from '../formats/peft.ts'
import { parseSafetensors, toFloat32 } from '../formats/safetensors.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures')
const TINY = join(import.meta.dirname, '../catalog/tiny')

export const fixtureBytes = (path: string): Uint8Array => new Uint8Array(readFileSync(join(FIXTURES, path)))

export const fixtureText = (path: string): string => readFileSync(join(FIXTURES, path), 'utf8')

// biome-ignore lint/suspicious/noExplicitAny: each fixture's README says what it holds
export const fixtureJson = (path: string): any => JSON.parse(fixtureText(path))

/** Every tensor of a safetensors fixture by name. */
export function fixtureTensors(path: string): (name: string) => Float32Array {
  const { tensors } = parseSafetensors(fixtureBytes(path))
  return (name) => {
    const tensor = tensors.get(name)
    if (!tensor) throw new Error(`${path} holds no ${name}`)
    return toFloat32(tensor)
  }
}

export const fixtureAdapter = (folder: string): Adapter =>
  readPeftAdapter(
    fixtureBytes(`${folder}/adapter_config.json`),
    fixtureBytes(`${folder}/adapter_model.safetensors`),
  )

/** The files of `nano`, `nano-untied` or the embedded `tiny`, as `loadModel` takes them. */
export function modelFiles(model: 'nano' | 'nano-untied' | 'tiny'): ReadonlyMap<string, Uint8Array> {
  const folder = model === 'tiny' ? TINY : join(FIXTURES, model)
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']
  const present = new Set(readdirSync(folder))
  return new Map(
    names
      .filter((name) => present.has(name))
      .map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]),
  )
}
