/** The reference fixtures and the embedded model, read from the disk. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FixtureModel, FixtureSet } from './fixture-set.ts'

export const MODELS_FOLDER = join(import.meta.dirname, '..')

export const fixtures = new FixtureSet((path) => {
  const file = join(MODELS_FOLDER, path)
  return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined
})

export const fixtureBytes = (path: string): Uint8Array => fixtures.bytes(path)

// biome-ignore lint/suspicious/noExplicitAny: each fixture's README says what it holds
export const fixtureJson = (path: string): any => fixtures.json(path)

export const fixtureTensors = (path: string) => fixtures.tensors(path)

export const modelFiles = (model: FixtureModel) => fixtures.modelFiles(model)
