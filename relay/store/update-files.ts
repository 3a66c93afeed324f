/** Accepted updates as files, `updates/DIGEST`. One counts only if the ledger names it. */
import { dirname, join } from 'node:path'
import { type Digest, digestOf } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { FileSystem } from './file-system.ts'
import type { AcceptedUpdate } from './ledger-types.ts'

export class UpdateFiles {
  readonly #folder: string
  readonly #room: string
  readonly #files: FileSystem

  constructor(folder: string, room: string, files: FileSystem) {
    this.#folder = folder
    this.#room = room
    this.#files = files
  }

  path(digest: Digest): string {
    return join(this.#folder, digest)
  }

  /** Makes a complete file durable under its digest. `onMoved`: the old path is gone, the new one not yet durable. */
  async place(path: string, digest: Digest, onMoved: () => void): Promise<void> {
    await this.#files.syncFile(path)
    await this.#files.rename(path, this.path(digest))
    onMoved()
    await this.#files.syncDirectory(this.#folder)
  }

  /** No transaction has named it. */
  discard(digest: Digest): Promise<void> {
    return this.#files.remove(this.path(digest))
  }

  /** Gone, also after a cut of the power. */
  async erase(digest: Digest): Promise<void> {
    await this.#files.remove(this.path(digest))
    await this.#files.syncDirectory(this.#folder)
  }

  /** Removes what was not accepted. Throws ProtocolError `store/damaged` where an accepted update's bytes are not its own. */
  async recover(updates: readonly AcceptedUpdate[]): Promise<void> {
    const accepted = new Map(updates.map((update) => [update.digest as string, update]))
    for (const name of await this.#files.list(this.#folder)) {
      if (!accepted.has(name)) await this.#files.remove(join(this.#folder, name))
    }
    for (const { digest, bytes } of accepted.values()) {
      const path = this.path(digest)
      if ((await this.#files.stat(path))?.bytes !== bytes) {
        throw new ProtocolError(
          'store/damaged',
          `Update ${digest} of room ${this.#room} is missing or cut short; restore the data folder from a copy.`,
        )
      }
      if (digestOf(await this.#files.read(path)) !== digest) {
        // Out of the way, so that nothing is ever merged from it, but not gone: it may be all that is left.
        const quarantine = join(dirname(this.#folder), 'quarantine')
        await this.#files.makeDirectory(quarantine)
        await this.#files.rename(path, join(quarantine, digest))
        await this.#files.syncDirectory(quarantine)
        throw new ProtocolError(
          'store/damaged',
          `Update ${digest} of room ${this.#room} does not have its digest any more and was moved to ${quarantine}; restore the data folder from a copy.`,
        )
      }
    }
  }
}
