/**
 * The start file of a LoRA-SB room: fixed factors from the base weights, made once for a base and a rank and kept in
 * the relay's data folder, from which it is served beside the base's files.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Adapter, AdapterShape } from '../../models/adapters/adapter.ts'
import { baseStart } from '../../models/adapters/base-start.ts'
import { startBytes, startFileName, writeStart } from '../../models/adapters/start.ts'
import { readExactly } from '../../models/formats/byte-source.ts'
import type { Digest } from '../protocol/index.ts'
import { type BaseModel, withSources } from './base-model.ts'
import type { Console } from './console.ts'
import { CliError, fileError } from './errors.ts'
import { readBytes } from './files.ts'

export interface StartFile {
  readonly name: string
  readonly bytes: number
  readonly sha256: Digest
}

/** PEFT's wrapper around the base's own names. */
const baseTensor = (module: string) => `${module.replace(/^base_model\.model\./, '')}.weight`

/** The fixed factors, computed; a matter of seconds for a model of 100M parameters. Throws FormatError. */
export async function startFromBase(
  model: BaseModel,
  shape: AdapterShape,
  console: Console,
): Promise<Adapter> {
  const { describeModelSources } = await import('../../models/catalog/model-files.ts')
  const progress = console.progress('Fixed factors', shape.modules.length, 'layers')
  try {
    const adapter = await withSources(model, async (sources) => {
      const { tensors } = await describeModelSources(sources)
      return baseStart(
        shape,
        async ({ name }) => {
          const found = tensors.get(baseTensor(name))
          if (!found) throw new CliError('model/unsupported', `The base model has no weights for ${name}.`)
          const { file, tensor } = found
          return tensor.decode(await readExactly(sources.get(file)!, tensor.begin, tensor.bytes))
        },
        (done) => progress.update(done),
      )
    })
    progress.finish()
    return adapter
  } catch (error) {
    progress.abort()
    throw error
  }
}

const folderOf = (dataDir: string, baseDigest: string) => path.join(dataDir, 'starts', baseDigest)

/** The file of this base and shape, from an earlier start of the relay or made now. */
export async function ensureStart(
  dataDir: string,
  model: BaseModel,
  baseDigest: string,
  shape: AdapterShape,
  console: Console,
): Promise<StartFile> {
  const folder = folderOf(dataDir, baseDigest)
  const name = startFileName(shape.rank)
  const file = path.join(folder, name)
  const kept = await readBytes(file).catch(() => null)
  if (kept?.length === startBytes(shape)) return described(name, kept)
  const bytes = writeStart(await startFromBase(model, shape, console))
  try {
    await mkdir(folder, { recursive: true })
    // Whole or not at all: a relay that is stopped here must not find half a file next time.
    await writeFile(`${file}.part`, bytes)
    await rename(`${file}.part`, file)
  } catch (error) {
    throw fileError('write', file, error)
  }
  return described(name, bytes)
}

/** Every start file of this base in the data folder, name -> path. */
export async function keptStarts(dataDir: string, baseDigest: string): Promise<Map<string, string>> {
  const folder = folderOf(dataDir, baseDigest)
  const names = await readdir(folder).catch(() => [])
  return new Map(
    names.filter((name) => name.endsWith('.safetensors')).map((name) => [name, path.join(folder, name)]),
  )
}

const described = (name: string, bytes: Uint8Array): StartFile => ({
  name,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex') as Digest,
})
