/**
 * A model behind an address: one GGUF file, or with `/` at the end a folder in Hugging Face's layout, such as
 * `https://huggingface.co/ORG/NAME/resolve/main/`. Its files are downloaded once, under their SHA-256; an address may
 * carry the expected one, `…/model.gguf#sha256=HEX`.
 */
import path from 'node:path'
import { DownloadError } from '../../models/errors.ts'
import { type CachedFile, cachedFile, type WantedFile } from '../../models/formats/file-cache.ts'
import { INDEX_FILE, parseShardIndex, SINGLE_FILE } from '../../models/formats/safetensors-shards.ts'
import { SHA256_HEX } from '../../models/sha256.ts'
import type { BaseModel } from './base-model.ts'
import type { Console } from './console.ts'
import { CliError } from './errors.ts'
import { readBytes } from './files.ts'
import { bytes } from './format.ts'
import { type CachedModelFile, FolderCache } from './model-folder.ts'

/** What a download tells, and what ends it. */
export interface DownloadPlace {
  readonly console?: Console
  readonly signal?: AbortSignal
}

export const isAddress = (name: string): boolean => /^https?:\/\//i.test(name)

/** @throws CliError `model/unsupported`; DownloadError `download/…` */
export async function remoteModel(
  address: string,
  ggufName: string,
  place: DownloadPlace,
): Promise<BaseModel> {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url) throw new CliError('model/unsupported', `${address} is no valid address.`)
  const sha256 = expectedDigest(url)
  const cache = new FolderCache()
  const fetchFile = async (wanted: WantedFile) => (await download(wanted, cache, place)).file.path
  const model = { license: '' } as const
  if (!url.pathname.endsWith('/')) {
    const name = decodeURIComponent(path.posix.basename(url.pathname))
    if (!name.toLowerCase().endsWith('.gguf')) {
      throw new CliError(
        'model/unsupported',
        `${address} is no .gguf file; name one, or a folder with / at its end.`,
      )
    }
    const file = await fetchFile({ url: url.href, sha256 })
    return { ...model, id: name.slice(0, -'.gguf'.length), files: new Map([[ggufName, file]]) }
  }
  const files = new Map<string, string>()
  const add = async (name: string) => {
    files.set(name, await fetchFile({ url: new URL(name, url).href }))
  }
  const addIfThere = async (name: string) => {
    try {
      await add(name)
    } catch (error) {
      if (!(error instanceof DownloadError) || error.code !== 'download/missing') throw error
    }
    return files.get(name)
  }
  await add('config.json')
  await add('tokenizer.json')
  await addIfThere('tokenizer_config.json')
  const index = await addIfThere(INDEX_FILE)
  if (index === undefined) await add(SINGLE_FILE)
  else for (const name of new Set(parseShardIndex(await readBytes(index)).values())) await add(name)
  return { ...model, id: folderName(url), files }
}

function expectedDigest(url: URL): string | undefined {
  const { hash } = url
  url.hash = ''
  if (hash === '') return undefined
  const sha256 = hash.replace(/^#sha256=/, '').toLowerCase()
  if (SHA256_HEX.test(sha256) && !url.pathname.endsWith('/')) return sha256
  throw new CliError(
    'model/unsupported',
    'Behind # an address of a file takes sha256= and 64 hexadecimal digits, and one of a folder nothing.',
  )
}

/** `NAME` of `/ORG/NAME/resolve/main/`, else the last part. */
function folderName(url: URL): string {
  const parts = url.pathname.split('/').filter(Boolean).map(decodeURIComponent)
  const resolve = parts.indexOf('resolve')
  return (resolve > 0 ? parts[resolve - 1] : parts.at(-1)) ?? url.hostname
}

/** A file into the cache, with a line that says how far it is. */
export async function download(
  wanted: WantedFile,
  cache: FolderCache,
  { console, signal }: DownloadPlace,
): Promise<CachedFile<CachedModelFile>> {
  const name = decodeURIComponent(path.posix.basename(new URL(wanted.url).pathname))
  let progress: ReturnType<Console['progress']> | undefined
  try {
    const found = await cachedFile(wanted, cache, { signal }, ({ bytes, totalBytes }) => {
      if (totalBytes === null) return
      progress ??= console?.progress(`Downloading ${name}`, totalBytes, 'bytes')
      progress?.update(bytes)
    })
    progress?.finish()
    if (found.downloaded) {
      console?.note(`${name}: ${bytes(found.file.bytes)}, sha256 ${found.sha256}, kept as ${found.file.path}`)
    }
    return found
  } catch (error) {
    progress?.abort()
    throw error
  }
}
