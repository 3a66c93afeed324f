/**
 * What the host's console may open rooms with on this relay: the model that was named at the start, and those of the
 * catalog that are on this machine anyway.
 */
import { stat } from 'node:fs/promises'
import { catalog, type ModelFile } from '../../models/catalog/catalog.ts'
import type { OfferedModel } from '../protocol/host.ts'
import type { Digest } from '../protocol/index.ts'
import { type BaseModel, findBaseModel, readSpec } from './base-model.ts'
import { CliError } from './errors.ts'
import { sha256OfFile } from './model-folder.ts'
import { keptStarts } from './start-file.ts'

export interface HostedModel {
  readonly model: BaseModel
  readonly digest: string
  readonly files: readonly ModelFile[]
}

/** `chosen` first; each model once. */
export async function hostedModels(chosen: HostedModel): Promise<HostedModel[]> {
  const hosted = [chosen]
  for (const { id, digest, files } of catalog) {
    if (digest === chosen.digest) continue
    try {
      hosted.push({ model: await findBaseModel(id), digest, files })
    } catch (error) {
      if (!(error instanceof CliError && error.code === 'model/not-here')) throw error
    }
  }
  return hosted
}

/** As the relay serves it: its own files, and the start files made for it before. */
export async function servedFiles(dataDir: string, { model, digest }: HostedModel) {
  return { digest, files: new Map([...model.files, ...(await keptStarts(dataDir, digest))]) }
}

export async function offeredModel(dataDir: string, hosted: HostedModel): Promise<OfferedModel> {
  const { model, digest, files } = hosted
  const spec = await readSpec(model)
  const starts = []
  for (const [name, file] of await keptStarts(dataDir, digest)) {
    const { size } = await stat(file)
    starts.push({ name, bytes: size, sha256: (await sha256OfFile(file)) as Digest })
  }
  return {
    id: model.id,
    family: spec.family,
    license: model.license,
    digest: digest as Digest,
    files: files.map((file) => ({ ...file, sha256: file.sha256 as Digest })),
    modules: [...spec.targets],
    maxTokens: spec.tokens.most,
    starts,
    makesStarts: true,
  }
}
