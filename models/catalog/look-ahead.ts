/** A model that is not here yet, to be looked into before it is downloaded: its headers, by range requests. */
import { wholeFile } from '../formats/byte-source.ts'
import { type HttpOptions, httpSource } from '../formats/http-file.ts'
import type { ModelSources } from './model-files.ts'

/** Less than this is had as quickly as it is looked into. */
const WORTH_LOOKING_BYTES = 16_000_000

interface AnnouncedFile {
  readonly name: string
  readonly bytes: number
}

/** Null where what is missing of `files` is so little that it may as well be downloaded. */
export function lookAhead(
  files: readonly AnnouncedFile[],
  urlOf: (file: AnnouncedFile) => string,
  { kept, ...options }: HttpOptions & { readonly kept?: ReadonlyMap<string, Uint8Array> } = {},
): ModelSources | null {
  const missing = files.filter(({ name }) => !kept?.has(name))
  if (missing.reduce((sum, { bytes }) => sum + bytes, 0) < WORTH_LOOKING_BYTES) return null
  return new Map(
    files.map((file) => {
      const here = kept?.get(file.name)
      return [file.name, here ? wholeFile(here) : httpSource(urlOf(file), file.bytes, options)]
    }),
  )
}
