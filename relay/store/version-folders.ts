/**
 * Published versions as folders, `versions/N`: a PEFT folder and version.json. One is written under another name and
 * then renamed, so that a folder of this name is always whole.
 */
import { join } from 'node:path'
import { type Digest, digestOf } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Version } from '../protocol/messages.ts'
import { aboutVersion } from './about-version.ts'
import type { FileSystem } from './file-system.ts'
import type { PublishedVersion } from './ledger-types.ts'

/** A merged version's files by name, ready to be written. */
export type VersionFiles = Readonly<Record<string, Uint8Array>>

export const described = (files: VersionFiles): Version['files'] =>
  Object.entries(files).map(([name, bytes]) => ({ name, bytes: bytes.byteLength, sha256: digestOf(bytes) }))

export class VersionFolders {
  readonly #folder: string
  readonly #manifestDigest: Digest
  readonly #files: FileSystem
  readonly #damaged: PublishedVersion[] = []

  constructor(folder: string, manifestDigest: Digest, files: FileSystem) {
    this.#folder = folder
    this.#manifestDigest = manifestDigest
    this.#files = files
  }

  path(version: number, file: string): string {
    return join(this.#folder, String(version), file)
  }

  /** Found missing or changed by `recover`; to be made again from the updates. */
  damaged(): readonly PublishedVersion[] {
    return this.#damaged
  }

  /** Durable when this resolves. */
  async write(entry: PublishedVersion, files: VersionFiles): Promise<void> {
    const unfinished = join(this.#folder, `${entry.version}.unfinished`)
    await this.#files.remove(unfinished)
    await this.#files.makeDirectory(unfinished)
    const all = { ...files, 'version.json': this.#about(entry) }
    for (const [name, bytes] of Object.entries(all)) {
      await this.#files.write(join(unfinished, name), bytes)
      await this.#files.syncFile(join(unfinished, name))
    }
    await this.#files.syncDirectory(unfinished)
    const finished = join(this.#folder, String(entry.version))
    await this.#files.remove(finished)
    await this.#files.rename(unfinished, finished)
    await this.#files.syncDirectory(this.#folder)
  }

  /** No transaction has named it. */
  discard(version: number): Promise<void> {
    return this.#files.remove(join(this.#folder, String(version)))
  }

  /** Gone, also after a cut of the power. */
  async erase(versions: readonly number[]): Promise<void> {
    for (const version of versions) await this.discard(version)
    if (versions.length > 0) await this.#files.syncDirectory(this.#folder)
  }

  /**
   * Puts a damaged version's files back. Throws ProtocolError `store/version-differs` unless they are byte for byte
   * what was published.
   */
  async restore(entry: PublishedVersion, files: VersionFiles): Promise<void> {
    const same = entry.files.every(({ name, sha256 }) => {
      const bytes = Object.hasOwn(files, name) ? files[name] : undefined
      return bytes !== undefined && digestOf(bytes) === sha256
    })
    if (!same) throw new ProtocolError('store/version-differs')
    await this.write(entry, files)
    this.#damaged.splice(this.#damaged.indexOf(entry), 1)
  }

  /** Removes what was not published, or is retired, and looks at every file of the others. */
  async recover(versions: readonly PublishedVersion[]): Promise<void> {
    const kept = versions.filter(({ retired }) => !retired)
    const names = new Set(kept.map(({ version }) => String(version)))
    for (const name of await this.#files.list(this.#folder)) {
      if (!names.has(name)) await this.#files.remove(join(this.#folder, name))
    }
    for (const entry of kept) {
      if (!(await this.#isIntact(entry))) this.#damaged.push(entry)
    }
  }

  /** What version.json holds. */
  #about(entry: PublishedVersion): Uint8Array {
    return new TextEncoder().encode(aboutVersion(entry, this.#manifestDigest))
  }

  async #isIntact(entry: PublishedVersion): Promise<boolean> {
    const about = this.#about(entry)
    const path = this.path(entry.version, 'version.json')
    if ((await this.#files.stat(path))?.bytes !== about.byteLength) return false
    if (digestOf(await this.#files.read(path)) !== digestOf(about)) return false
    for (const { name, bytes, sha256 } of entry.files) {
      const path = this.path(entry.version, name)
      if ((await this.#files.stat(path))?.bytes !== bytes) return false
      if (digestOf(await this.#files.read(path)) !== sha256) return false
    }
    return true
  }
}
