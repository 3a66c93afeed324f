/**
 * Files kept on a machine under their SHA-256, so that none is downloaded twice: a folder in Node, a browser's
 * storage in a tab. `cachedFile` brings a file in from an address: streamed, so that memory holds one chunk of it;
 * taken up again where the connection broke; and believed only by its digest.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { DownloadError } from '../errors.ts'
import type { ByteSource } from './byte-source.ts'
import { HttpFile, type HttpOptions, isBroken, retryLater } from './http-file.ts'

/** What an address held when it was last downloaded. */
export interface KnownFile {
  readonly sha256: string
  readonly bytes: number
  /** The server's name of that version. */
  readonly validator: string
}

export interface FileCache<File extends ByteSource = ByteSource> {
  /** A file kept under this digest, its bytes being the ones that were kept. */
  find(sha256: string): Promise<File | undefined>
  /** Room for a file whose digest is not known yet. */
  create(): Promise<CacheWriter<File>>
  recall(url: string): Promise<KnownFile | undefined>
  remember(url: string, known: KnownFile): Promise<void>
}

export interface CacheWriter<File extends ByteSource = ByteSource> {
  append(chunk: Uint8Array): Promise<void>
  /** Back to an empty file. */
  restart(): Promise<void>
  /** The file is whole, and this is its digest. */
  keep(sha256: string): Promise<File>
  /** Forgets it. */
  drop(): Promise<void>
}

export interface WantedFile {
  readonly url: string
  /** Where they are known before: 64 hexadecimal digits, and the size. */
  readonly sha256?: string | undefined
  readonly bytes?: number | undefined
}

export interface DownloadProgress {
  readonly bytes: number
  /** Null where the server does not say. */
  readonly totalBytes: number | null
}

export interface CachedFile<File extends ByteSource = ByteSource> {
  readonly file: File
  readonly sha256: string
  /** False: nothing had to be downloaded. */
  readonly downloaded: boolean
}

/** @throws DownloadError `download/…`, FormatError `file/changed`, and what the cache throws */
export async function cachedFile<File extends ByteSource>(
  wanted: WantedFile,
  cache: FileCache<File>,
  options: HttpOptions = {},
  onProgress: (progress: DownloadProgress) => void = () => {},
): Promise<CachedFile<File>> {
  if (wanted.sha256 !== undefined) {
    const file = await cache.find(wanted.sha256)
    if (file) return { file, sha256: wanted.sha256, downloaded: false }
  }
  const remote = await HttpFile.open(wanted.url, options)
  try {
    checkBytes(wanted, remote.knownBytes)
    const known = wanted.sha256 === undefined ? await cache.recall(wanted.url) : undefined
    if (known && known.validator === remote.validator && known.bytes === remote.knownBytes) {
      const file = await cache.find(known.sha256)
      if (file) return { file, sha256: known.sha256, downloaded: false }
    }
    const { file, sha256 } = await download(wanted, remote, cache, options, onProgress)
    if (remote.validator !== null) {
      await cache.remember(wanted.url, { sha256, bytes: file.bytes, validator: remote.validator })
    }
    return { file, sha256, downloaded: true }
  } finally {
    await remote.close()
  }
}

async function download<File extends ByteSource>(
  wanted: WantedFile,
  remote: HttpFile,
  cache: FileCache<File>,
  options: HttpOptions,
  onProgress: (progress: DownloadProgress) => void,
): Promise<{ file: File; sha256: string }> {
  const totalBytes = remote.knownBytes
  const writer = await cache.create()
  try {
    let hash = sha256.create()
    let bytes = 0
    /** Attempts since the last byte: a long download may break more often than a short one. */
    let failures = 0
    for (;;) {
      try {
        for await (const chunk of remote.stream(bytes)) {
          failures = 0
          if (wanted.bytes !== undefined && bytes + chunk.length > wanted.bytes)
            checkBytes(wanted, bytes + chunk.length)
          hash.update(chunk)
          await writer.append(chunk)
          bytes += chunk.length
          onProgress({ bytes, totalBytes })
        }
        break
      } catch (error) {
        await retryLater(wanted.url, ++failures, error, options)
        // Without a name for the version, what comes now may be of another one.
        if (isBroken(error) && remote.validator === null) {
          hash = sha256.create()
          bytes = 0
          await writer.restart()
        }
      }
    }
    checkBytes(wanted, bytes)
    const found = bytesToHex(hash.digest())
    if (wanted.sha256 !== undefined && found !== wanted.sha256) {
      throw new DownloadError(
        'download/wrong-digest',
        `${wanted.url} gave a file with SHA-256 ${found}, where ${wanted.sha256} was expected; it is another file or was damaged on the way, so try again or take another source.`,
      )
    }
    return { file: await writer.keep(found), sha256: found }
  } catch (error) {
    await writer.drop()
    throw error
  }
}

/** @param found null where the server has not said */
function checkBytes({ url, bytes }: WantedFile, found: number | null): void {
  if (bytes === undefined || found === null || found === bytes) return
  throw new DownloadError(
    'download/wrong-length',
    `${url} has ${found} bytes, where ${bytes} were expected; it is another file, so take another source.`,
  )
}
