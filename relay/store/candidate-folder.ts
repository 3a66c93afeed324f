/** The next version's files, `candidate/`, where the host measures it first. Not durable: gone after a restart. */
import { join } from 'node:path'
import { digestOf } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Version } from '../protocol/messages.ts'
import type { FileSystem } from './file-system.ts'
import { described, type VersionFiles } from './version-folders.ts'

export class CandidateFolder {
  readonly path: string
  readonly #files: FileSystem

  constructor(path: string, files: FileSystem) {
    this.path = path
    this.#files = files
  }

  filePath(file: string): string {
    return join(this.path, file)
  }

  /** In place of what was there. */
  async write(files: VersionFiles): Promise<Version['files']> {
    await this.remove()
    await this.#files.makeDirectory(this.path)
    for (const [name, bytes] of Object.entries(files)) await this.#files.write(this.filePath(name), bytes)
    return described(files)
  }

  /** Throws ProtocolError `store/damaged`. */
  async read(files: Version['files']): Promise<VersionFiles> {
    const contents: Record<string, Uint8Array> = {}
    for (const { name, sha256 } of files) {
      contents[name] = await this.#files.read(this.filePath(name))
      if (digestOf(contents[name]) !== sha256) throw new ProtocolError('store/damaged')
    }
    return contents
  }

  remove(): Promise<void> {
    return this.#files.remove(this.path)
  }
}
