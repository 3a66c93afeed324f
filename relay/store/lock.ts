/**
 * One relay a data folder: two would each think they know which updates are accepted. The lock is an exclusive
 * SQLite transaction on a file of its own, so the operating system releases it whatever way the process ends, and
 * tools may still read the ledger of a running relay.
 */
import { join } from 'node:path'
import Database from 'libsql'
import { ProtocolError } from '../protocol/errors.ts'

export interface DirectoryLock {
  release(): void
}

/** Throws ProtocolError `store/locked` if another relay holds the folder. */
export function lockDirectory(directory: string): DirectoryLock {
  const database = new Database(join(directory, 'lock.sqlite'))
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    const code = (error as { code?: unknown }).code
    if (typeof code === 'string' && code.startsWith('SQLITE_BUSY')) throw new ProtocolError('store/locked')
    throw error
  }
  return {
    release() {
      database.exec('ROLLBACK')
      database.close()
    },
  }
}
