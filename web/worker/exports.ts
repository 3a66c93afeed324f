/**
 * An adapter for other programs: PEFT's folder and the whole model with the adapter in it as zips, llama.cpp's
 * GGUF file as it is. Pieces go into a Blob one by one, which a browser may keep on disk.
 */
import { Zip, ZipPassThrough } from 'fflate'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { mergedModel } from '../../models/catalog/merged-model.ts'
import type { ModelSpec } from '../../models/families/family.ts'
import { wholeFile } from '../../models/formats/byte-source.ts'
import { writePeftAdapter } from '../../models/formats/peft.ts'
import type { ExportFormat } from './api.ts'

/** Fixed, so that the same adapter gives the same zip. */
const ZIP_TIME = new Date('1980-01-01T00:00:00')

export interface ExportInput {
  readonly adapter: Adapter
  readonly format: ExportFormat
  /** Catalog id or name of the base model, for PEFT's config. */
  readonly baseModel: string
  readonly name: string
  readonly spec: ModelSpec
  /** The base model's files, asked for by `merged` alone. */
  readonly baseFiles: () => Promise<ReadonlyMap<string, Uint8Array>>
}

export async function exportAdapter(input: ExportInput): Promise<Blob> {
  const { adapter, format, baseModel, spec, name } = input
  switch (format) {
    case 'peft': {
      const files = Object.entries(writePeftAdapter(adapter, baseModel))
      return zipped(files.map(([file, bytes]) => ({ name: file, chunks: [bytes] })))
    }
    case 'gguf':
      // The page offers it only where llama.cpp knows the family.
      if (!spec.gguf) throw new RangeError(`no GGUF adapters of ${spec.family}`)
      return new Blob([...spec.gguf.writeAdapter(adapter, name)] as BlobPart[])
    case 'merged': {
      const files = await input.baseFiles()
      const sources = new Map(Array.from(files, ([file, bytes]) => [file, wholeFile(bytes)]))
      return zipped(await mergedModel(sources, adapter, 'f16'))
    }
    default: {
      const never: never = format
      return never
    }
  }
}

interface ZipEntry {
  readonly name: string
  readonly chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** Stored, not packed: weights do not get smaller. */
async function zipped(files: readonly ZipEntry[]): Promise<Blob> {
  const parts: Uint8Array[] = []
  let failure: Error | null = null
  const zip = new Zip((error, chunk) => {
    if (error) failure = error
    else parts.push(chunk)
  })
  for (const { name, chunks } of files) {
    const entry = new ZipPassThrough(name)
    entry.mtime = ZIP_TIME
    zip.add(entry)
    for await (const chunk of chunks) entry.push(chunk)
    entry.push(new Uint8Array(), true)
  }
  zip.end()
  if (failure) throw failure
  return new Blob(parts as BlobPart[], { type: 'application/zip' })
}
