/**
 * The few file operations the relay's durable state is made of, behind an interface: a test can then record their
 * order, or lose everything that was not synced, which killing a process never does.
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'

export interface FileSystem {
  /** Creates the folder and its parents; succeeds if it is there. */
  makeDirectory(path: string): Promise<void>
  /** Names of the entries, unsorted. */
  list(path: string): Promise<string[]>
  /** Null where there is nothing. */
  stat(path: string): Promise<{ bytes: number; modifiedMs: number } | null>
  /** The whole file in a buffer of its own (not a view of a pool). */
  read(path: string): Promise<Uint8Array<ArrayBuffer>>
  /** Appends to the file, creating it. */
  append(path: string, bytes: Uint8Array): Promise<void>
  /** Creates or replaces the file. */
  write(path: string, bytes: Uint8Array): Promise<void>
  /** Cuts the file to this length. */
  truncate(path: string, bytes: number): Promise<void>
  /** Returns once the file's bytes are on the disk. */
  syncFile(path: string): Promise<void>
  /** Returns once the folder's entries are on the disk. */
  syncDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file or a folder with all it holds; succeeds if it is not there. */
  remove(path: string): Promise<void>
  /** Where there is a quota (disk-quota.ts): so many bytes are to come at this path. Throws ProtocolError `store/full`. */
  reserve?(path: string, bytes: number): void
}

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT'

export const nodeFileSystem: FileSystem = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true })
  },
  list: (path) => readdir(path),
  async stat(path) {
    try {
      const { size, mtimeMs } = await stat(path)
      return { bytes: size, modifiedMs: mtimeMs }
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  },
  async read(path) {
    const file = await open(path, 'r')
    try {
      const bytes = new Uint8Array((await file.stat()).size)
      let filled = 0
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled)
        if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`)
        filled += bytesRead
      }
      return bytes
    } finally {
      await file.close()
    }
  },
  append: (path, bytes) => writeAll(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, bytes),
  write: (path, bytes) => writeAll(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, bytes),
  async truncate(path, bytes) {
    const file = await open(path, 'r+')
    try {
      await file.truncate(bytes)
    } finally {
      await file.close()
    }
  },
  async syncFile(path) {
    const file = await open(path, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  },
  async syncDirectory(path) {
    // Windows cannot open a folder for syncing; NTFS journals renames itself.
    if (process.platform === 'win32') return
    const directory = await open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
  rename: (from, to) => rename(from, to),
  async remove(path) {
    await rm(path, { recursive: true, force: true })
  },
}

async function writeAll(path: string, flags: number, bytes: Uint8Array): Promise<void> {
  // Only the relay's own user may read what participants sent.
  const file = await open(path, flags, 0o600)
  try {
    let written = 0
    while (written < bytes.length) {
      written += (await file.write(bytes, written, bytes.length - written)).bytesWritten
    }
  } finally {
    await file.close()
  }
}
