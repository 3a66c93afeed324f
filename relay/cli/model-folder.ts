/**
 * Downloaded models on this machine's disk, under their SHA-256: ONEROUND_MODELS, or the system's folder for what can
 * be had again. A file is written beside, synced and renamed, so that one under its digest is whole; its digest is
 * taken again each time it is used, because disks and people change files.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import type { ByteSource } from '../../models/formats/byte-source.ts'
import type { CacheWriter, FileCache, KnownFile } from '../../models/formats/file-cache.ts'
import { SHA256_HEX } from '../../models/sha256.ts'
import { fileError } from './errors.ts'

export interface CachedModelFile extends ByteSource {
  readonly path: string
}

export function modelFolder(): string {
  const { ONEROUND_MODELS, XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  if (ONEROUND_MODELS) return ONEROUND_MODELS
  if (process.platform === 'win32' && LOCALAPPDATA) return path.join(LOCALAPPDATA, 'oneround', 'models')
  if (process.platform === 'darwin') return path.join(homedir(), 'Library', 'Caches', 'oneround', 'models')
  return path.join(XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'oneround', 'models')
}

export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  return hash.digest('hex')
}

const textDigest = (text: string) => createHash('sha256').update(text).digest('hex')

export class FolderCache implements FileCache<CachedModelFile> {
  readonly #folder: string

  constructor(folder = modelFolder()) {
    this.#folder = folder
  }

  async find(sha256: string): Promise<CachedModelFile | undefined> {
    const file = this.#fileOf(sha256)
    const found = await stat(file).catch(() => undefined)
    if (!found) return undefined
    if ((await sha256OfFile(file)) === sha256) return atPath(file, found.size)
    await rm(file, { force: true })
    return undefined
  }

  async create(): Promise<CacheWriter<CachedModelFile>> {
    const started = path.join(this.#folder, `download-${randomBytes(8).toString('hex')}`)
    let handle: FileHandle
    try {
      await mkdir(this.#folder, { recursive: true })
      handle = await open(started, 'wx')
    } catch (error) {
      throw fileError('write', started, error)
    }
    let bytes = 0
    return {
      append: async (chunk) => {
        try {
          await handle.writeFile(chunk)
          bytes += chunk.length
        } catch (error) {
          throw fileError('write', started, error)
        }
      },
      restart: async () => {
        await handle.close()
        handle = await open(started, 'w')
        bytes = 0
      },
      keep: async (sha256) => {
        const file = this.#fileOf(sha256)
        try {
          await handle.sync()
          await handle.close()
          await rename(started, file)
        } catch (error) {
          throw fileError('write', file, error)
        }
        return atPath(file, bytes)
      },
      drop: async () => {
        await handle.close().catch(() => {})
        await rm(started, { force: true })
      },
    }
  }

  async recall(url: string): Promise<KnownFile | undefined> {
    try {
      const known: unknown = JSON.parse(await readFile(this.#noteOf(url), 'utf8'))
      return isKnownFile(known) ? known : undefined
    } catch {
      // No note, or a damaged one: the file is downloaded again.
      return undefined
    }
  }

  async remember(url: string, known: KnownFile): Promise<void> {
    await writeFile(this.#noteOf(url), `${JSON.stringify({ url, ...known })}\n`)
  }

  #fileOf(sha256: string): string {
    if (!SHA256_HEX.test(sha256)) throw new RangeError(`${sha256} is no SHA-256`)
    return path.join(this.#folder, sha256)
  }

  #noteOf(url: string): string {
    return path.join(this.#folder, `${textDigest(url)}.url.json`)
  }
}

function isKnownFile(value: unknown): value is KnownFile {
  const { sha256, bytes, validator } = (value ?? {}) as Record<string, unknown>
  return (
    typeof sha256 === 'string' &&
    SHA256_HEX.test(sha256) &&
    Number.isSafeInteger(bytes) &&
    typeof validator === 'string'
  )
}

const atPath = (file: string, bytes: number): CachedModelFile => ({
  path: file,
  bytes,
  async read(offset, length) {
    const handle = await open(file)
    try {
      const piece = new Uint8Array(length)
      const { bytesRead } = await handle.read(piece, 0, length, offset)
      return piece.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  },
})
