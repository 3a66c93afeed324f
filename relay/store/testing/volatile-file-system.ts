/**
 * A file system in memory that forgets what was not synced, as a disk does when the power goes: a file's bytes until
 * syncFile, a folder's entries (created, renamed, removed) until syncDirectory. Killing a process never shows a
 * missing sync; this does. It also records each operation and can fail at any of them.
 */
import { basename, dirname } from 'node:path'
import type { FileSystem } from '../file-system.ts'

interface FileNode {
  bytes: Uint8Array<ArrayBuffer>
  syncedBytes: Uint8Array<ArrayBuffer>
  modifiedMs: number
}

interface FolderNode {
  entries: Map<string, Node>
  syncedEntries: Map<string, Node>
}

type Node = FileNode | FolderNode

const isFolder = (node: Node): node is FolderNode => 'entries' in node
const newFolder = (): FolderNode => ({ entries: new Map(), syncedEntries: new Map() })

export class PowerCut extends Error {}

export class VolatileFileSystem implements FileSystem {
  /** Each operation so far, e.g. `rename open/x updates/y`, with paths' last two names. */
  readonly operations: string[] = []
  /** Throws before the operation with this index, and from then on. */
  cutBefore = Number.POSITIVE_INFINITY
  readonly #root = newFolder()

  /** `existing` is a folder that was there long before, and so is on the disk. */
  constructor(existing: string) {
    let folder = this.#root
    for (const name of existing.split('/').filter(Boolean)) {
      const next = newFolder()
      folder.entries.set(name, next)
      folder.syncedEntries.set(name, next)
      folder = next
    }
  }

  /** What is left after the power came back: everything unsynced is gone. */
  losePower(): void {
    const forget = (node: Node): void => {
      if (!isFolder(node)) {
        node.bytes = node.syncedBytes
        return
      }
      node.entries = new Map(node.syncedEntries)
      for (const child of node.entries.values()) forget(child)
    }
    forget(this.#root)
    this.cutBefore = Number.POSITIVE_INFINITY
  }

  /** Lets a test put other steps (the ledger's commit, the receipt) into the same record. */
  record(operation: string): void {
    if (this.operations.length >= this.cutBefore) throw new PowerCut(operation)
    this.operations.push(operation)
  }

  async makeDirectory(path: string): Promise<void> {
    this.#step('makeDirectory', path)
    let folder = this.#root
    for (const name of path.split('/').filter(Boolean)) {
      let next = folder.entries.get(name)
      if (!next) {
        next = newFolder()
        folder.entries.set(name, next)
      }
      if (!isFolder(next)) throw new Error(`${path} is not a folder`)
      folder = next
    }
  }

  async list(path: string): Promise<string[]> {
    return [...this.#folder(path).entries.keys()]
  }

  async stat(path: string): Promise<{ bytes: number; modifiedMs: number } | null> {
    const node = this.#find(path)
    if (!node) return null
    return isFolder(node)
      ? { bytes: 0, modifiedMs: 0 }
      : { bytes: node.bytes.length, modifiedMs: node.modifiedMs }
  }

  async read(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#file(path).bytes.slice()
  }

  async append(path: string, bytes: Uint8Array): Promise<void> {
    this.#step('append', path)
    const before = this.#find(path) ? this.#file(path).bytes : new Uint8Array(0)
    this.#put(path, Uint8Array.from([...before, ...bytes]))
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    this.#step('write', path)
    this.#put(path, Uint8Array.from(bytes))
  }

  async truncate(path: string, bytes: number): Promise<void> {
    this.#step('truncate', path)
    this.#put(path, this.#file(path).bytes.slice(0, bytes))
  }

  async syncFile(path: string): Promise<void> {
    this.#step('syncFile', path)
    const file = this.#file(path)
    file.syncedBytes = file.bytes
  }

  async syncDirectory(path: string): Promise<void> {
    this.#step('syncDirectory', path)
    const folder = this.#folder(path)
    folder.syncedEntries = new Map(folder.entries)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step('rename', from, to)
    const node = this.#find(from)
    if (!node) throw new Error(`${from} does not exist`)
    this.#folder(dirname(from)).entries.delete(basename(from))
    this.#folder(dirname(to)).entries.set(basename(to), node)
  }

  async remove(path: string): Promise<void> {
    this.#step('remove', path)
    if (this.#find(path)) this.#folder(dirname(path)).entries.delete(basename(path))
  }

  #step(operation: string, ...paths: string[]): void {
    const short = paths.map((path) => path.split('/').slice(-2).join('/'))
    this.record([operation, ...short].join(' '))
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const name of path.split('/').filter(Boolean)) {
      node = node && isFolder(node) ? node.entries.get(name) : undefined
    }
    return node
  }

  #folder(path: string): FolderNode {
    const node = this.#find(path)
    if (!node || !isFolder(node))
      throw Object.assign(new Error(`${path} is not a folder`), { code: 'ENOENT' })
    return node
  }

  #file(path: string): FileNode {
    const node = this.#find(path)
    if (!node || isFolder(node)) throw Object.assign(new Error(`${path} is not a file`), { code: 'ENOENT' })
    return node
  }

  #put(path: string, bytes: Uint8Array<ArrayBuffer>): void {
    const node = this.#find(path)
    if (node && isFolder(node)) throw new Error(`${path} is a folder`)
    if (node) {
      node.bytes = bytes
      node.modifiedMs = Date.now()
    } else {
      const file = { bytes, syncedBytes: new Uint8Array(0), modifiedMs: Date.now() }
      this.#folder(dirname(path)).entries.set(basename(path), file)
    }
  }
}
