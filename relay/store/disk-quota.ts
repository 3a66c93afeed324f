/**
 * How much a data folder may hold. Counted is what lies in it: files as they are written and removed, SQLite's by their
 * size at the moment; and, of the uploads that have begun, what is still to come. Only a new upload is refused: one that
 * has begun can finish, what was accepted is always published, and a withdrawal always goes through.
 */
import { statSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { ProtocolError } from '../protocol/errors.ts'
import type { FileSystem } from './file-system.ts'

/** SQLite writes these itself. */
const DATABASE = ['relay.sqlite', 'relay.sqlite-wal', 'relay.sqlite-shm']

/** The same operations, counted; `reserve` throws ProtocolError `store/full`. The folder must not change otherwise. */
export async function withQuota(
  directory: string,
  files: FileSystem,
  quotaBytes: number,
): Promise<FileSystem> {
  const databases = DATABASE.map((name) => join(directory, name))
  let usedBytes = (await bytesUnder(directory)) - databaseBytes(databases)
  /** What is still to come, by path. */
  const reserved = new Map<string, number>()
  /** Of a file, or of all that is in a folder. */
  const forget = (gone: string) => {
    for (const path of reserved.keys())
      if (path === gone || path.startsWith(`${gone}${sep}`)) reserved.delete(path)
  }
  const sizeOf = async (path: string) => (await files.stat(path))?.bytes ?? 0
  return {
    ...files,
    reserve(path, bytes) {
      const promised = [...reserved].reduce((sum, [other, left]) => (other === path ? sum : sum + left), 0)
      if (usedBytes + databaseBytes(databases) + promised + bytes > quotaBytes) {
        throw new ProtocolError('store/full')
      }
      reserved.set(path, bytes)
    },
    async append(path, bytes) {
      await files.append(path, bytes)
      usedBytes += bytes.byteLength
      const left = reserved.get(path)
      if (left !== undefined) reserved.set(path, Math.max(0, left - bytes.byteLength))
    },
    async write(path, bytes) {
      const before = await sizeOf(path)
      await files.write(path, bytes)
      usedBytes += bytes.byteLength - before
    },
    async truncate(path, bytes) {
      const before = await sizeOf(path)
      await files.truncate(path, bytes)
      usedBytes += bytes - before
    },
    async rename(from, to) {
      const replaced = await bytesUnder(to)
      await files.rename(from, to)
      usedBytes -= replaced
      forget(from)
    },
    async remove(path) {
      const before = await bytesUnder(path)
      await files.remove(path)
      usedBytes -= before
      forget(path)
    },
  }
}

function databaseBytes(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)
}

/** Of a file, or of all files in a folder; 0 where there is nothing. */
async function bytesUnder(path: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (!found?.isDirectory()) return found?.size ?? 0
  let bytes = 0
  for (const name of await readdir(path)) bytes += await bytesUnder(join(path, name))
  return bytes
}
