/**
 * The audit log as a file beside a room's updates, for people and for `oneround verify`. The ledger holds the same
 * lines, written in one transaction with what they tell; the file follows it, and is brought up to date at each start.
 */
import type { AuditPlace } from '../protocol/audit.ts'
import type { FileSystem } from './file-system.ts'

/** Of one log, as the ledger has it. */
export interface AuditLines {
  /** Lines after this many, each without its line feed. */
  lines(after: number): readonly string[]
  place(): AuditPlace | null
}

export class AuditFile {
  readonly path: string
  readonly #files: FileSystem
  readonly #log: AuditLines
  /** Lines the file holds, all of them durable. */
  #lines = 0
  #bytes = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string, files: FileSystem, log: AuditLines) {
    this.path = path
    this.#files = files
    this.#log = log
  }

  /** The whole log, as the ledger has it. */
  text(): string {
    return joined(this.#log.lines(0))
  }

  place() {
    return this.#log.place()
  }

  /**
   * Makes the file equal to the ledger's lines. A file that is not how they begin was changed by somebody: it is kept
   * under the name returned, and written anew.
   */
  async recover(): Promise<string | null> {
    const expected = this.text()
    const found = (await this.#files.stat(this.path)) && (await this.#files.read(this.path))
    let set: string | null = null
    if (found && !expected.startsWith(new TextDecoder().decode(found))) {
      set = `${this.path}.damaged`
      await this.#files.remove(set)
      await this.#files.rename(this.path, set)
    }
    if (found === null || set !== null || found.byteLength !== Buffer.byteLength(expected)) {
      await this.#files.write(this.path, new TextEncoder().encode(expected))
      await this.#files.syncFile(this.path)
    }
    this.#lines = this.place()?.sequence ?? 0
    this.#bytes = Buffer.byteLength(expected)
    return set
  }

  /** Appends what the ledger has since; calls run one after the other. */
  flush(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#append())
    return this.#writing
  }

  async #append(): Promise<void> {
    const lines = this.#log.lines(this.#lines)
    if (lines.length === 0) return
    const text = new TextEncoder().encode(joined(lines))
    try {
      await this.#files.append(this.path, text)
      await this.#files.syncFile(this.path)
    } catch (error) {
      // A full disk may have taken half of it: go back to whole lines.
      await this.#files.truncate(this.path, this.#bytes)
      throw error
    }
    this.#lines += lines.length
    this.#bytes += text.byteLength
  }
}

const joined = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')
