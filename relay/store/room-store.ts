/**
 * One room's durable state: its folder of files beside the ledger.
 *
 *   rooms/ROOM/manifest.json
 *   rooms/ROOM/open/PARTICIPANT.DIGEST.BYTES      an unfinished upload; its size is the next offset
 *   rooms/ROOM/updates/DIGEST                     an accepted update; counts only if the ledger names it
 *   rooms/ROOM/versions/N/                        a published version: PEFT folder and version.json
 *   rooms/ROOM/candidate/                         the next version, where the host measures it first
 *   rooms/ROOM/audit.jsonl                        the audit log; a copy of the ledger's, written after it
 *
 * An update becomes accepted in this order, so that a receipt is never given for what could still be lost:
 * write the file, sync it, rename it into updates/, sync that folder, commit to the ledger, answer. A withdrawal goes
 * the other way: commit to the ledger, erase the files, sync the folders, answer; an interrupted one is finished at
 * the next start, because files that the ledger does not name are removed then.
 */
import { join } from 'node:path'
import { type Digest, digestOf } from '../protocol/canonical.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { MAX_OPEN_UPLOADS, OPEN_UPLOAD_LIFETIME_MS } from '../protocol/limits.ts'
import { type Manifest, manifestDigest } from '../protocol/manifest.ts'
import type { Measured } from '../protocol/measured.ts'
import type { Receipt, Version } from '../protocol/messages.ts'
import type { PrivacyFigures } from '../protocol/privacy.ts'
import { aboutVersion } from './about-version.ts'
import { AuditFile } from './audit-file.ts'
import type { FileSystem } from './file-system.ts'
import type { AcceptedUpdate, Ledger, LedgerRound, PublishedVersion, Release, Withdrawal } from './ledger.ts'
import type { ReceiptSigner } from './receipt-signer.ts'
import { SharedDigests } from './shared-digests.ts'

/** What reading an update's bytes has shown; throws what it must refuse. */
export type InspectUpdate = (
  expectedDigest: Digest,
  bytes: Uint8Array<ArrayBuffer>,
) => Promise<{ digest: Digest; examples: number; norm: number; start: string | null }>

export interface OpenUpload {
  readonly digest: Digest
  /** Announced. */
  readonly bytes: number
  /** Received so far, and the only offset a chunk may have. */
  readonly offset: number
}

interface OpenUploadEntry {
  readonly digest: Digest
  readonly bytes: number
  readonly path: string
  offset: number
  lastChunkMs: number
}

/** A merged version's files by name, ready to be written. */
export type VersionFiles = Readonly<Record<string, Uint8Array>>

/** The update itself is at fault, so sending it again cannot help; anything else may be tried again. */
const isRefusal = (error: unknown): error is ProtocolError =>
  error instanceof ProtocolError && /^up(date|load)\//.test(error.code)

const described = (files: VersionFiles): Version['files'] =>
  Object.entries(files).map(([name, bytes]) => ({ name, bytes: bytes.byteLength, sha256: digestOf(bytes) }))

const OPEN_NAME = /^([0-9a-f]{32})\.([0-9a-f]{64})\.([0-9]{1,12})$/

export class RoomStore {
  readonly manifest: Manifest
  readonly manifestDigest: Digest
  readonly #directory: string
  readonly #files: FileSystem
  readonly #ledger: Ledger
  readonly #signer: ReceiptSigner
  readonly #now: () => Date
  readonly audit: AuditFile
  /** By participant: each has at most one. */
  readonly #open = new Map<string, OpenUploadEntry>()
  readonly #damagedVersions: PublishedVersion[] = []
  readonly #digests = new SharedDigests()
  /** As in the ledger; the room's status is asked for with every join. */
  #versions: PublishedVersion[]
  #updates: readonly AcceptedUpdate[] = []
  #undecided: number
  #joinCode: string | null
  #joiningClosed: boolean
  /** As in the ledger; null: to be asked for. */
  #rounds: readonly LedgerRound[] | null = null

  private constructor(
    directory: string,
    manifest: Manifest,
    files: FileSystem,
    ledger: Ledger,
    signer: ReceiptSigner,
    now: () => Date,
  ) {
    this.manifest = manifest
    this.manifestDigest = manifestDigest(manifest)
    this.#directory = directory
    this.#files = files
    this.#ledger = ledger
    this.#signer = signer
    this.#now = now
    this.audit = new AuditFile(join(directory, 'audit.jsonl'), manifest.room, files, ledger)
    this.#versions = ledger.versions(manifest.room).map((version) => this.#digests.in(version))
    this.#undecided = 0
    this.#joinCode = ledger.joinCode(manifest.room)
    this.#joiningClosed = ledger.joiningClosed(manifest.room)
    this.#count()
  }

  /**
   * Makes the folder if need be and brings it in line with the ledger: what no transaction names is removed, an
   * accepted update whose file is missing throws ProtocolError `store/damaged`, a version whose files are not as
   * published is reported by `damagedVersions`.
   */
  static async open(
    directory: string,
    manifest: Manifest,
    files: FileSystem,
    ledger: Ledger,
    signer: ReceiptSigner,
    now: () => Date,
  ): Promise<RoomStore> {
    const store = new RoomStore(directory, manifest, files, ledger, signer, now)
    await store.#makeFolders()
    await store.#recoverUpdates()
    await store.#recoverOpenUploads()
    await store.#recoverVersions()
    await store.removeCandidate()
    return store
  }

  get room(): string {
    return this.manifest.room
  }

  /** Accepted updates in the order they came. */
  updates(): readonly AcceptedUpdate[] {
    return this.#updates
  }

  contributions(): number {
    return this.#updates.length
  }

  /** Contributions that wait for the host's decision. */
  undecided(): number {
    return this.#undecided
  }

  /** Digests of the participants' contributions, by participant. */
  senders(): ReadonlyMap<string, Digest> {
    return this.#ledger.senders(this.room)
  }

  receipt(participant: string): Receipt | null {
    const receipt = this.#ledger.receipt(this.manifest, participant)
    return receipt && this.#signer.sign(receipt, this.manifest)
  }

  /** Of this very update, in whatever round. */
  receiptFor(participant: string, digest: Digest): Receipt | null {
    const receipt = this.#ledger.receiptFor(this.manifest, participant, digest)
    return receipt && this.#signer.sign(receipt, this.manifest)
  }

  /** Oldest first; empty where a room has no rounds. */
  rounds(): readonly LedgerRound[] {
    this.#rounds ??= this.#ledger.rounds(this.room)
    return this.#rounds
  }

  setRoundClock(round: number, from: Date | null): void {
    this.#ledger.setRoundClock(this.room, round, from?.toISOString() ?? null)
    this.#rounds = null
  }

  /** Ledger.closeRound, for this room. */
  closeRound(round: number, isLast: boolean): boolean {
    const closed = this.#ledger.closeRound(this.room, round, isLast, this.#now().toISOString())
    this.#rounds = null
    return closed
  }

  /** Oldest first; the retired ones included, whose files are gone. */
  versions(): readonly PublishedVersion[] {
    return this.#versions
  }

  joinCode(): string | null {
    return this.#joinCode
  }

  setJoinCode(code: string | null): void {
    this.#ledger.setJoinCode(this.room, code)
    this.#joinCode = code
  }

  joiningClosed(): boolean {
    return this.#joiningClosed
  }

  closeJoining(): void {
    this.#ledger.closeJoining(this.room, this.#now().toISOString())
    this.#joiningClosed = true
  }

  now(): Date {
    return this.#now()
  }

  /** Published versions whose files are missing or changed; to be made again from the updates. */
  damagedVersions(): readonly PublishedVersion[] {
    return this.#damagedVersions
  }

  updatePath(digest: Digest): string {
    return join(this.#directory, 'updates', digest)
  }

  versionPath(version: number, file: string): string {
    return join(this.#directory, 'versions', String(version), file)
  }

  close(): void {
    this.#ledger.closeRoom(this.room, this.#now().toISOString())
    this.#rounds = null
  }

  openUpload(participant: string): OpenUpload | null {
    const entry = this.#open.get(participant)
    return entry ? { digest: entry.digest, bytes: entry.bytes, offset: entry.offset } : null
  }

  /**
   * Starts or continues an upload. An earlier one of other bytes is dropped. `mayEvict` says whose idle upload
   * may go when too many are open. Throws ProtocolError `upload/too-many` or, beyond the quota, `store/full`.
   */
  async begin(
    participant: string,
    digest: Digest,
    bytes: number,
    mayEvict: (participant: string) => boolean,
  ): Promise<OpenUpload> {
    const earlier = this.#open.get(participant)
    if (earlier && (earlier.digest !== digest || earlier.bytes !== bytes)) await this.drop(participant)
    if (!this.#open.has(participant)) {
      if (this.#open.size >= MAX_OPEN_UPLOADS) await this.#evictIdle(mayEvict)
      const path = join(this.#directory, 'open', `${participant}.${digest}.${bytes}`)
      this.#files.reserve?.(path, bytes)
      await this.#files.write(path, new Uint8Array(0))
      this.#open.set(participant, { digest, bytes, path, offset: 0, lastChunkMs: this.#now().getTime() })
    }
    return this.openUpload(participant)!
  }

  /** Adds the next bytes; the caller has checked offset and length. Returns the next offset. */
  async append(participant: string, data: Uint8Array): Promise<number> {
    const entry = this.#entry(participant)
    try {
      await this.#files.append(entry.path, data)
      entry.offset += data.byteLength
    } catch (error) {
      // A full disk may have taken half of it: go back to what was acknowledged.
      await this.#files.truncate(entry.path, entry.offset)
      throw error
    }
    entry.lastChunkMs = this.#now().getTime()
    return entry.offset
  }

  /** Forgets an unfinished upload. */
  async drop(participant: string): Promise<void> {
    const entry = this.#open.get(participant)
    if (!entry) return
    this.#open.delete(participant)
    await this.#files.remove(entry.path)
  }

  /**
   * Makes a complete upload durable and accepted. An update that `inspect` refuses is removed; any other failure
   * leaves it to be committed again. Throws ProtocolError `upload/digest`, those of Ledger.accept, and what `inspect` throws.
   */
  async accept(participant: string, inspect: InspectUpdate): Promise<Receipt> {
    const entry = this.#entry(participant)
    const bytes = await this.#files.read(entry.path)
    const length = bytes.byteLength
    let found: Awaited<ReturnType<InspectUpdate>>
    try {
      found = await inspect(entry.digest, bytes)
      if (found.digest !== entry.digest || length !== entry.bytes) throw new ProtocolError('upload/digest')
    } catch (error) {
      if (isRefusal(error)) {
        await this.drop(participant)
        this.#logRefusal(participant, error.code)
      }
      throw error
    }
    await this.#files.syncFile(entry.path)
    await this.#files.rename(entry.path, this.updatePath(entry.digest))
    this.#open.delete(participant)
    await this.#files.syncDirectory(join(this.#directory, 'updates'))
    const { examples, norm, start } = found
    const update = { digest: entry.digest, bytes: length, examples, norm, start }
    try {
      const receipt = this.#ledger.accept(this.manifest, participant, update, this.#now().toISOString())
      this.#count()
      return this.#signer.sign(receipt, this.manifest)
    } catch (error) {
      if (!this.#ledger.hasUpdate(this.room, entry.digest))
        await this.#files.remove(this.updatePath(entry.digest))
      if (isRefusal(error)) this.#logRefusal(participant, error.code)
      throw error
    }
  }

  /** The set of updates is by digest: one that is already in gives its sender a receipt without its bytes. */
  async acceptKnown(participant: string, digest: Digest): Promise<Receipt | null> {
    if (!this.#ledger.hasUpdate(this.room, digest)) return null
    this.#files.reserve?.(this.updatePath(digest), 0) // it grows the ledger and the log
    const known = this.updates().find((update) => update.digest === digest)!
    const update = { ...known, start: null }
    const receipt = this.#ledger.accept(this.manifest, participant, update, this.#now().toISOString())
    // Bytes of it (or of another update) that this participant had sent are of no use any more.
    await this.drop(participant)
    return this.#signer.sign(receipt, this.manifest)
  }

  /** Ledger.drawRelease, for this room. */
  drawRelease(figures: (contributions: number) => PrivacyFigures): Release | null {
    return this.#ledger.drawRelease(this.room, figures, this.#now().toISOString())
  }

  /** Lets a waiting contribution count. Throws ProtocolError `host/unknown-contribution` or `host/not-waiting`. */
  approve(digest: Digest): void {
    this.#ledger.approve(this.room, digest, this.#now().toISOString())
    this.#count()
  }

  /** Takes a participant's own contribution out. Throws ProtocolError `withdraw/unknown`. */
  withdraw(participant: string, digest: Digest): Promise<Withdrawal> {
    return this.#erase(this.#ledger.withdraw(this.room, participant, digest, this.#now().toISOString()))
  }

  /** Takes a contribution out for the host. Throws ProtocolError `host/unknown-contribution`. */
  remove(digest: Digest): Promise<Withdrawal> {
    return this.#erase(this.#ledger.remove(this.room, digest, this.#now().toISOString()))
  }

  /** Writes the files of a version that is new, durably, and then enters it in the ledger. */
  async addVersion(
    version: Pick<PublishedVersion, 'version' | 'digest'>,
    updates: readonly Digest[],
    files: VersionFiles,
    measured: Measured | null = null,
  ): Promise<PublishedVersion> {
    const entry: PublishedVersion = {
      version: version.version,
      digest: version.digest,
      contributions: updates.length,
      updates: [...updates].sort(),
      createdAt: this.#now().toISOString(),
      files: described(files),
    }
    await this.#writeVersion(entry, files)
    try {
      this.#ledger.addVersion(this.room, entry, measured)
    } catch (error) {
      await this.#files.remove(join(this.#directory, 'versions', String(entry.version)))
      throw error
    }
    this.#versions.push(this.#digests.in(entry))
    return entry
  }

  /** Where a candidate's files lie until it is published; gone after a restart. */
  candidatePath(file: string): string {
    return join(this.#directory, 'candidate', file)
  }

  async writeCandidate(files: VersionFiles): Promise<Version['files']> {
    await this.removeCandidate()
    await this.#files.makeDirectory(join(this.#directory, 'candidate'))
    for (const [name, bytes] of Object.entries(files)) {
      await this.#files.write(this.candidatePath(name), bytes)
    }
    return described(files)
  }

  /** Throws ProtocolError `store/damaged`. */
  async readCandidate(files: Version['files']): Promise<VersionFiles> {
    const contents: Record<string, Uint8Array> = {}
    for (const { name, sha256 } of files) {
      contents[name] = await this.#files.read(this.candidatePath(name))
      if (digestOf(contents[name]) !== sha256) throw new ProtocolError('store/damaged')
    }
    return contents
  }

  removeCandidate(): Promise<void> {
    return this.#files.remove(join(this.#directory, 'candidate'))
  }

  heldBack(digest: Digest): Measured | null {
    return this.#ledger.heldBack(this.room, digest)
  }

  holdBack(digest: Digest, updates: readonly Digest[], measured: Measured): void {
    this.#ledger.holdBack(this.room, digest, updates, measured, this.#now().toISOString())
  }

  /**
   * Puts a damaged version's files back. Throws ProtocolError `store/version-differs` unless they are byte for byte
   * what was published.
   */
  async restoreVersion(entry: PublishedVersion, files: VersionFiles): Promise<void> {
    const same = entry.files.every(({ name, sha256 }) => {
      const bytes = Object.hasOwn(files, name) ? files[name] : undefined
      return bytes !== undefined && digestOf(bytes) === sha256
    })
    if (!same) throw new ProtocolError('store/version-differs')
    await this.#writeVersion(entry, files)
    this.#damagedVersions.splice(this.#damagedVersions.indexOf(entry), 1)
  }

  /** The ledger has let go of it: now the files. */
  async #erase(withdrawal: Withdrawal): Promise<Withdrawal> {
    this.#count()
    this.#versions = this.#ledger.versions(this.room).map((version) => this.#digests.in(version))
    if (withdrawal.erased) {
      await this.#files.remove(this.updatePath(withdrawal.digest))
      await this.#files.syncDirectory(join(this.#directory, 'updates'))
    }
    for (const version of withdrawal.retired) {
      await this.#files.remove(join(this.#directory, 'versions', String(version)))
    }
    if (withdrawal.retired.length > 0) await this.#files.syncDirectory(join(this.#directory, 'versions'))
    return withdrawal
  }

  #logRefusal(participant: string, code: ErrorCode): void {
    this.#ledger.logRefusal(this.room, participant, code, this.#now().toISOString())
  }

  #count(): void {
    this.#updates = this.#ledger
      .updates(this.room)
      .map((update) => ({ ...update, digest: this.#digests.one(update.digest) }))
    this.#undecided = this.#updates.filter(({ approved }) => !approved).length
  }

  async #writeVersion(entry: PublishedVersion, files: VersionFiles): Promise<void> {
    const versions = join(this.#directory, 'versions')
    const unfinished = join(versions, `${entry.version}.unfinished`)
    await this.#files.remove(unfinished)
    await this.#files.makeDirectory(unfinished)
    const about = aboutVersion(entry, this.manifestDigest)
    const all = { ...files, 'version.json': new TextEncoder().encode(about) }
    for (const [name, bytes] of Object.entries(all)) {
      await this.#files.write(join(unfinished, name), bytes)
      await this.#files.syncFile(join(unfinished, name))
    }
    await this.#files.syncDirectory(unfinished)
    const finished = join(versions, String(entry.version))
    await this.#files.remove(finished)
    await this.#files.rename(unfinished, finished)
    await this.#files.syncDirectory(versions)
  }

  #entry(participant: string): OpenUploadEntry {
    const entry = this.#open.get(participant)
    if (!entry) throw new ProtocolError('upload/not-begun')
    return entry
  }

  async #evictIdle(mayEvict: (participant: string) => boolean): Promise<void> {
    const idle = [...this.#open]
      .filter(([participant]) => mayEvict(participant))
      .sort(([, a], [, b]) => a.lastChunkMs - b.lastChunkMs)[0]
    if (!idle) throw new ProtocolError('upload/too-many')
    await this.drop(idle[0])
  }

  async #makeFolders(): Promise<void> {
    for (const folder of ['open', 'updates', 'versions']) {
      await this.#files.makeDirectory(join(this.#directory, folder))
    }
    const manifestPath = join(this.#directory, 'manifest.json')
    const text = new TextEncoder().encode(`${JSON.stringify(this.manifest, null, 2)}\n`)
    if ((await this.#files.stat(manifestPath))?.bytes !== text.byteLength) {
      await this.#files.write(manifestPath, text)
      await this.#files.syncFile(manifestPath)
    }
    await this.#files.syncDirectory(this.#directory)
    await this.#files.syncDirectory(join(this.#directory, '..'))
  }

  async #recoverUpdates(): Promise<void> {
    const accepted = new Map(this.updates().map((update) => [update.digest as string, update]))
    for (const name of await this.#files.list(join(this.#directory, 'updates'))) {
      if (!accepted.has(name)) await this.#files.remove(join(this.#directory, 'updates', name))
    }
    for (const { digest, bytes } of accepted.values()) {
      const path = this.updatePath(digest)
      if ((await this.#files.stat(path))?.bytes !== bytes) {
        throw new ProtocolError(
          'store/damaged',
          `Update ${digest} of room ${this.room} is missing or cut short; restore the data folder from a copy.`,
        )
      }
      if (digestOf(await this.#files.read(path)) !== digest) {
        // Out of the way, so that nothing is ever merged from it, but not gone: it may be all that is left.
        const quarantine = join(this.#directory, 'quarantine')
        await this.#files.makeDirectory(quarantine)
        await this.#files.rename(path, join(quarantine, digest))
        await this.#files.syncDirectory(quarantine)
        throw new ProtocolError(
          'store/damaged',
          `Update ${digest} of room ${this.room} does not have its digest any more and was moved to ${quarantine}; restore the data folder from a copy.`,
        )
      }
    }
  }

  async #recoverOpenUploads(): Promise<void> {
    const folder = join(this.#directory, 'open')
    const oldestMs = this.#now().getTime() - OPEN_UPLOAD_LIFETIME_MS
    for (const name of await this.#files.list(folder)) {
      const path = join(folder, name)
      const [, participant, digest, announced] = OPEN_NAME.exec(name) ?? []
      const found = await this.#files.stat(path)
      if (
        participant === undefined ||
        found === null ||
        found.bytes > Number(announced) ||
        found.modifiedMs < oldestMs ||
        this.#open.has(participant) ||
        this.receipt(participant) !== null
      ) {
        await this.#files.remove(path)
        continue
      }
      this.#open.set(participant, {
        digest: digest as Digest,
        bytes: Number(announced),
        path,
        offset: found.bytes,
        lastChunkMs: found.modifiedMs,
      })
    }
  }

  async #recoverVersions(): Promise<void> {
    const versions = this.versions().filter(({ retired }) => !retired)
    const published = new Set(versions.map(({ version }) => String(version)))
    for (const name of await this.#files.list(join(this.#directory, 'versions'))) {
      if (!published.has(name)) await this.#files.remove(join(this.#directory, 'versions', name))
    }
    for (const entry of versions) {
      if (!(await this.#isIntact(entry))) this.#damagedVersions.push(entry)
    }
  }

  async #isIntact(entry: PublishedVersion): Promise<boolean> {
    if ((await this.#files.stat(this.versionPath(entry.version, 'version.json'))) === null) return false
    for (const { name, bytes, sha256 } of entry.files) {
      const path = this.versionPath(entry.version, name)
      if ((await this.#files.stat(path))?.bytes !== bytes) return false
      if (digestOf(await this.#files.read(path)) !== sha256) return false
    }
    return true
  }
}
