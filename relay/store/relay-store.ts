/**
 * A relay's data folder: the lock, the ledger and the rooms. Opening it recovers everything that was accepted.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ProtocolError } from '../protocol/errors.ts'
import type { DeletedRoom } from '../protocol/host.ts'
import { MAX_ROOMS } from '../protocol/limits.ts'
import { type Manifest, manifestDigest } from '../protocol/manifest.ts'
import { AuditFile } from './audit-file.ts'
import { diskError } from './disk-errors.ts'
import { withQuota } from './disk-quota.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'
import { Ledger } from './ledger.ts'
import { type DirectoryLock, lockDirectory } from './lock.ts'
import { ReceiptSigner } from './receipt-signer.ts'
import { RoomStore } from './room-store.ts'

/** The log of rooms that were deleted, in the data folder. */
export const DELETED_ROOMS = 'deleted-rooms.jsonl'

/** No room's name has a dot in it. */
const ASIDE = '.deleted'

export interface RelayStoreOptions {
  readonly directory: string
  readonly fileSystem?: FileSystem
  /** Bytes in the folder from which on no new upload begins; no limit where it is left out. */
  readonly quotaBytes?: number | undefined
  readonly ledger?: (path: string) => Ledger
  readonly now?: () => Date
}

export class RelayStore {
  /** The rooms of earlier runs, with whether each is closed. */
  readonly restored: readonly { readonly store: RoomStore; readonly closed: boolean }[]
  readonly tokenKey: Uint8Array
  /** Signs this relay's receipts; its public key belongs in every manifest. */
  readonly signer: ReceiptSigner
  readonly #directory: string
  readonly #files: FileSystem
  readonly #ledger: Ledger
  readonly #lock: DirectoryLock
  readonly #now: () => Date
  #triedWritingMs = Number.NEGATIVE_INFINITY
  #writable = Promise.resolve(true)
  readonly #manifests = new Map<string, Manifest>()
  readonly #deleted: Set<string>
  readonly #deletedLog: AuditFile

  private constructor(
    directory: string,
    files: FileSystem,
    ledger: Ledger,
    lock: DirectoryLock,
    signer: ReceiptSigner,
    now: () => Date,
    restored: readonly { store: RoomStore; closed: boolean }[],
  ) {
    this.#directory = directory
    this.#files = files
    this.#ledger = ledger
    this.#lock = lock
    this.#now = now
    this.restored = restored
    this.signer = signer
    this.tokenKey = ledger.secret('participant-token')
    for (const { store } of restored) this.#manifests.set(store.room, store.manifest)
    this.#deleted = new Set(ledger.deleted.names())
    this.#deletedLog = new AuditFile(join(directory, DELETED_ROOMS), files, ledger.deleted)
  }

  /** Throws ProtocolError `store/locked`, `store/newer`, `store/damaged`, `store/full` or `store/unwritable`. */
  static async open(options: RelayStoreOptions): Promise<RelayStore> {
    const { directory, fileSystem: plain = nodeFileSystem, quotaBytes, now = () => new Date() } = options
    // The lock and the ledger are SQLite's own files, whatever file system the rest is on.
    const isNew = await makeWritable(directory, plain)
    const lock = lockDirectory(directory)
    let ledger: Ledger | undefined
    try {
      const fileSystem = quotaBytes === undefined ? plain : await withQuota(directory, plain, quotaBytes)
      const path = join(directory, 'relay.sqlite')
      ledger = options.ledger ? options.ledger(path) : new Ledger(path)
      await fileSystem.makeDirectory(join(directory, 'rooms'))
      await fileSystem.syncDirectory(directory)
      if (isNew) await fileSystem.syncDirectory(join(directory, '..'))
      const signer = new ReceiptSigner(ledger.secret('receipt-key'))
      const restored: { store: RoomStore; closed: boolean }[] = []
      for (const { manifest, closed } of ledger.rooms()) {
        const folder = join(directory, 'rooms', manifest.room)
        ledger.startLog(manifest, now().toISOString())
        const store = await RoomStore.open(folder, manifest, fileSystem, ledger, signer, now)
        await store.audit.recover()
        restored.push({ store, closed })
      }
      const store = new RelayStore(directory, fileSystem, ledger, lock, signer, now, restored)
      await store.#recoverDeleted()
      return store
    } catch (error) {
      ledger?.close()
      lock.release()
      throw error
    }
  }

  /**
   * A new room. Throws ProtocolError `room/exists` if there is one of this name (also with the same manifest) and
   * `room/limit`.
   */
  async createRoom(manifest: Manifest): Promise<RoomStore> {
    if (this.#manifests.has(manifest.room)) throw new ProtocolError('room/exists')
    if (this.#deleted.has(manifest.room)) {
      throw new ProtocolError(
        'room/exists',
        `There was a room ${manifest.room}, which the host deleted, and its links must open no other; choose another name.`,
      )
    }
    if (this.#manifests.size >= MAX_ROOMS) throw new ProtocolError('room/limit')
    this.#manifests.set(manifest.room, manifest)
    try {
      const folder = join(this.#directory, 'rooms', manifest.room)
      await this.#removeLeftover(folder)
      const store = await RoomStore.open(folder, manifest, this.#files, this.#ledger, this.signer, this.#now)
      this.#ledger.addRoom(manifest, this.#now().toISOString())
      await store.audit.recover()
      return store
    } catch (error) {
      this.#manifests.delete(manifest.room)
      throw error
    }
  }

  /**
   * A folder that the ledger does not name is left over from a room that never came to be, and then it holds no
   * updates. If it does, the ledger is the wrong one, and nothing may be removed.
   */
  async #removeLeftover(folder: string): Promise<void> {
    const updates = join(folder, 'updates')
    if ((await this.#files.stat(updates)) !== null && (await this.#files.list(updates)).length > 0) {
      throw new ProtocolError(
        'store/damaged',
        `${folder} holds updates that relay.sqlite does not know; restore relay.sqlite, or move the folder away.`,
      )
    }
    await this.#files.remove(folder)
  }

  wasDeleted(room: string): boolean {
    return this.#deleted.has(room)
  }

  /** The room is gone from here on, also where the relay dies now; its files then go with `eraseDeleted`. */
  commitDeletion({ manifest }: RoomStore): DeletedRoom {
    const deleted = this.#ledger.deleted.delete(manifest, this.#now().toISOString())
    this.#manifests.delete(manifest.room)
    this.#deleted.add(manifest.room)
    return deleted
  }

  /**
   * Once nothing reads or writes the room's folder any more. It is moved aside first, so that nobody finds half of it;
   * the next start finishes what was interrupted.
   */
  async eraseDeleted(room: string): Promise<void> {
    const rooms = join(this.#directory, 'rooms')
    const [folder, aside] = [join(rooms, room), join(rooms, `${room}${ASIDE}`)]
    await this.#files.remove(aside)
    if ((await this.#files.stat(folder)) !== null) await this.#files.rename(folder, aside)
    await this.#files.syncDirectory(rooms)
    await this.#files.remove(aside)
    await this.#files.syncDirectory(rooms)
    await this.#deletedLog.flush()
  }

  async #recoverDeleted(): Promise<void> {
    if (this.#deleted.size === 0) return
    await this.#deletedLog.recover()
    const found = new Set(await this.#files.list(join(this.#directory, 'rooms')))
    for (const room of this.#deleted) {
      if (found.has(room) || found.has(`${room}${ASIDE}`)) await this.eraseDeleted(room)
    }
  }

  /** True if a room of this name has this very manifest. Throws ProtocolError `room/exists` if it has another. */
  hasRoom(manifest: Manifest): boolean {
    const existing = this.#manifests.get(manifest.room)
    if (!existing) return false
    if (manifestDigest(existing) !== manifestDigest(manifest)) throw new ProtocolError('room/exists')
    return true
  }

  /** From which the host's token is made. */
  get hostKey(): Uint8Array {
    return this.#ledger.replacedHostKey() ?? this.tokenKey
  }

  /** A new one, durable when this returns. Rooms' audit files are written by their owners. */
  replaceHostKey(): Uint8Array {
    return this.#ledger.replaceHostKey(this.#now().toISOString())
  }

  /** Tries it; whoever asks more often than once a second gets the last answer. */
  isWritable(): Promise<boolean> {
    const nowMs = performance.now()
    if (nowMs - this.#triedWritingMs >= 1000) {
      this.#triedWritingMs = nowMs
      this.#writable = this.#tryWriting()
    }
    return this.#writable
  }

  async #tryWriting(): Promise<boolean> {
    try {
      await probe(this.#directory, this.#files)
      return true
    } catch {
      return false
    }
  }

  close(): void {
    this.#ledger.close()
    this.#lock.release()
  }
}

/** Whether the folder is new. Throws ProtocolError `store/full` or `store/unwritable`. */
async function makeWritable(directory: string, files: FileSystem): Promise<boolean> {
  try {
    const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined
    await probe(directory, files)
    return isNew
  } catch (error) {
    const code = diskError(error)
    throw code ? new ProtocolError(code, undefined, { cause: error }) : error
  }
}

async function probe(directory: string, files: FileSystem): Promise<void> {
  const path = join(directory, 'ready.probe')
  files.reserve?.(path, 4096)
  await files.write(path, new Uint8Array(4096))
  await files.remove(path)
}
