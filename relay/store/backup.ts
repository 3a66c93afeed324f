/**
 * A consistent copy of a data folder, also of a running relay's, and the way back, which is the same copy the other way
 * round. The ledger is copied first, in one SQLite transaction (VACUUM INTO); what it names was on the disk before it
 * was named, so the files can follow. Only a withdrawal takes files away meanwhile: then the copy begins anew.
 * Every update and version is checked by its digest on the way.
 *
 * The copy appears under its name only when it is complete and on the disk. It holds the relay's keys: who has it can
 * speak for every participant and sign receipts.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { cp, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import Database from 'libsql'
import { ProtocolError } from '../protocol/errors.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import { aboutVersion } from './about-version.ts'
import { nodeFileSystem } from './file-system.ts'
import { Ledger } from './ledger.ts'
import { DELETED_ROOMS, RelayStore } from './relay-store.ts'

export interface Copied {
  readonly rooms: number
  readonly updates: number
  readonly versions: number
  readonly bytes: number
}

/** A withdrawal during each of these copies means somebody is erasing a whole room. */
const MAX_ATTEMPTS = 5

const LEDGER = 'relay.sqlite'
/** Made anew from the ledger, or of one process only. */
const NOT_COPIED = new Set([LEDGER, `${LEDGER}-wal`, `${LEDGER}-shm`, 'rooms', 'ready.probe', DELETED_ROOMS])

class FileGone extends Error {}

/**
 * `to` must not exist, or be an empty folder. Throws ProtocolError `store/damaged` if a file of `from` is not what was
 * accepted or published, `store/newer`, and what the file system throws.
 */
export async function copyDataFolder(from: string, to: string): Promise<Copied> {
  if (!existsSync(join(from, LEDGER))) {
    throw new ProtocolError('store/damaged', `${from} is no data folder of a relay: it has no ${LEDGER}.`)
  }
  if (existsSync(to) && (await readdir(to)).length > 0) {
    throw new ProtocolError('store/locked', `${to} is not empty; name a folder that does not exist yet.`)
  }
  const partial = join(dirname(to), `.${basename(to)}.partial`)
  for (let attempt = 1; ; attempt++) {
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true, mode: 0o700 })
    try {
      const copied = await copyOnce(from, partial)
      await rm(to, { recursive: true, force: true })
      await rename(partial, to)
      await nodeFileSystem.syncDirectory(dirname(to))
      return copied
    } catch (error) {
      await rm(partial, { recursive: true, force: true })
      if (!(error instanceof FileGone)) throw error
      if (attempt === MAX_ATTEMPTS) throw new ProtocolError('store/damaged', error.message)
    }
  }
}

async function copyOnce(from: string, to: string): Promise<Copied> {
  const ledgerPath = join(to, LEDGER)
  const source = new Database(join(from, LEDGER), { readonly: true })
  try {
    source.exec(`VACUUM INTO '${ledgerPath.replaceAll("'", "''")}'`)
  } finally {
    source.close()
  }
  const copied = { rooms: 0, updates: 0, versions: 0, bytes: 0 }
  const ledger = new Ledger(ledgerPath)
  try {
    for (const { manifest } of ledger.rooms()) {
      const { room } = manifest
      const folder = (...names: string[]) => [
        join(from, 'rooms', room, ...names),
        join(to, 'rooms', room, ...names),
      ]
      copied.rooms++
      await mkdir(join(to, 'rooms', room, 'updates'), { recursive: true })
      for (const { digest } of ledger.updates(room)) {
        const [original = '', copy = ''] = folder('updates', digest)
        copied.bytes += await copyFile(original, copy, digest)
        copied.updates++
      }
      for (const entry of ledger.versions(room)) {
        const { version, files, retired } = entry
        if (retired) continue
        await mkdir(join(to, 'rooms', room, 'versions', String(version)), { recursive: true })
        for (const { name, sha256 } of files) {
          const [original = '', copy = ''] = folder('versions', String(version), name)
          copied.bytes += await copyFile(original, copy, sha256)
        }
        const [, about = ''] = folder('versions', String(version), 'version.json')
        await writeFile(about, aboutVersion(entry, manifestDigest(manifest)))
        copied.versions++
      }
    }
  } finally {
    ledger.close()
  }
  // Start files and certificates: nothing that a running relay writes to.
  for (const name of await readdir(from)) {
    if (NOT_COPIED.has(name) || name.startsWith('lock.sqlite')) continue
    await cp(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true })
  }
  // Writes the manifests and audit logs from the ledger, and checks the folder as a starting relay does.
  const store = await RelayStore.open({ directory: to })
  store.close()
  await syncTree(to)
  return copied
}

/** Returns the bytes copied. */
async function copyFile(original: string, copy: string, sha256: string): Promise<number> {
  try {
    await cp(original, copy)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new FileGone(`${original} is missing.`)
    throw error
  }
  const hash = createHash('sha256')
  for await (const part of createReadStream(copy)) hash.update(part as Buffer)
  if (hash.digest('hex') !== sha256) {
    throw new ProtocolError('store/damaged', `${original} does not have the digest it was kept under.`)
  }
  return (await stat(copy)).size
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await syncTree(path)
    else if (entry.isFile()) await nodeFileSystem.syncFile(path)
  }
  await nodeFileSystem.syncDirectory(directory)
}
