/**
 * What can be loaded without looking for it: the embedded model and the sample texts, as lists. The files
 * lie beside this one: `tiny/` a model in Hugging Face's layout with its card, `samples/` one text an author.
 *
 * A base model is named by the digest of its files' digests, so that everyone in a room trains the same one.
 */
import { canonicalJson } from '../canonical-json.ts'
import { sha256Hex } from '../sha256.ts'
import catalogJson from './catalog.json' with { type: 'json' }
import samplesJson from './samples/samples.json' with { type: 'json' }

export interface ModelFile {
  readonly name: string
  readonly bytes: number
  /** 64 hexadecimal digits. */
  readonly sha256: string
}

export interface CatalogEntry {
  readonly id: string
  /** As manifests name it: models/families. */
  readonly family: string
  readonly title: string
  /** SPDX identifier. */
  readonly license: string
  readonly parameters: number
  readonly files: readonly ModelFile[]
  /** `baseDigest(files)` */
  readonly digest: string
  /** About what a training step on WebGPU takes with one window of 256 tokens or one picture, rank 8, all projections. */
  readonly trainingBytes: number
  /** Null: its files are in the folder of its id beside this one. Else where they come from, in words. */
  readonly origin: string | null
}

export interface Sample {
  /** Name in `samples/`. */
  readonly file: string
  readonly title: string
  readonly author: string
  readonly part: string
  /** Of first publication. */
  readonly year: number
  readonly license: string
  readonly bytes: number
  readonly sha256: string
}

/** The files of a model in Hugging Face's layout that make it what it is; tokenizer_config.json may lack. */
export const MODEL_FILE_NAMES = [
  'config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
] as const

export const catalog = catalogJson as readonly CatalogEntry[]

export const samples: readonly Sample[] = samplesJson

/** The model used when nothing else is named. */
export const DEFAULT_MODEL_ID = 'tiny'

export const findModel = (id: string): CatalogEntry | undefined => catalog.find((entry) => entry.id === id)

/** SHA-256 of the canonical JSON of the files' names, sizes and digests, sorted by name. */
export function baseDigest(files: readonly ModelFile[]): string {
  const sorted = files
    .map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }))
    .sort((x, y) => (x.name < y.name ? -1 : 1))
  return sha256Hex(new TextEncoder().encode(canonicalJson(sorted)))
}

/** Sizes and digests of a model's files, of those that make it what it is. */
export function describeFiles(files: ReadonlyMap<string, Uint8Array>): ModelFile[] {
  return MODEL_FILE_NAMES.flatMap((name) => {
    const bytes = files.get(name)
    return bytes ? [{ name, bytes: bytes.length, sha256: sha256Hex(bytes) }] : []
  })
}
