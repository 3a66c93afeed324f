/**
 * One room's durable state: its folder of files beside the ledger. Each kind of file has a class of its own; here is the
 * order between them and the ledger.
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
import type { Digest } from '../protocol/canonical.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { type Manifest, manifestDigest } from '../protocol/manifest.ts'
import type { Measured } from '../protocol/measured.ts'
import type { Receipt } from '../protocol/messages.ts'
import type { PrivacyFigures } from '../protocol/privacy.ts'
import { AuditFile } from './audit-file.ts'
import { CandidateFolder } from './candidate-folder.ts'
import type { FileSystem } from './file-system.ts'
import type { Ledger } from './ledger.ts'
import type { AcceptedUpdate, LedgerRound, PublishedVersion, Release, Withdrawal } from './ledger-types.ts'
import { type OpenUpload, OpenUploads } from './open-uploads.ts'
import type { ReceiptSigner } from './receipt-signer.ts'
import { SharedDigests } from './shared-digests.ts'
import { UpdateFiles } from './update-files.ts'
import { described, type VersionFiles, VersionFolders } from './version-folders.ts'

/** What reading an update's bytes has shown; throws what it must refuse. */
export type InspectUpdate = (
  expectedDigest: Digest,
  bytes: Uint8Array<ArrayBuffer>,
) => Promise<{ digest: Digest; examples: number; norm: number; start: string | null }>

/** The update itself is at fault, so sending it again cannot help; anything else may be tried again. */
const isRefusal = (error: unknown): error is ProtocolError =>
  error instanceof ProtocolError && /^up(date|load)\//.test(error.code)

export class RoomStore {
  readonly manifest: Manifest
  readonly manifestDigest: Digest
  readonly #directory: string
  readonly #files: FileSystem
  readonly #ledger: Ledger
  readonly #signer: ReceiptSigner
  readonly #now: () => Date
  readonly audit: AuditFile
  readonly candidate: CandidateFolder
  readonly #uploads: OpenUploads
  readonly #updateFiles: UpdateFiles
  readonly #versionFolders: VersionFolders
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
    this.#uploads = new OpenUploads(join(directory, 'open'), files, now)
    this.#updateFiles = new UpdateFiles(join(directory, 'updates'), manifest.room, files)
    this.#versionFolders = new VersionFolders(join(directory, 'versions'), this.manifestDigest, files)
    this.candidate = new CandidateFolder(join(directory, 'candidate'), files)
    this.audit = new AuditFile(join(directory, 'audit.jsonl'), files, {
      lines: (after) => ledger.auditLines(manifest.room, after),
      place: () => ledger.auditPlace(manifest.room),
    })
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
    await store.#updateFiles.recover(store.updates())
    await store.#uploads.recover((participant) => store.receipt(participant) !== null)
    await store.#versionFolders.recover(store.versions())
    await store.candidate.remove()
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
    return this.#versionFolders.damaged()
  }

  updatePath(digest: Digest): string {
    return this.#updateFiles.path(digest)
  }

  versionPath(version: number, file: string): string {
    return this.#versionFolders.path(version, file)
  }

  close(): void {
    this.#ledger.closeRoom(this.room, this.#now().toISOString())
    this.#rounds = null
  }

  openUpload(participant: string): OpenUpload | null {
    return this.#uploads.of(participant)
  }

  /** OpenUploads.begin */
  begin(...of: Parameters<OpenUploads['begin']>): Promise<OpenUpload> {
    return this.#uploads.begin(...of)
  }

  /** OpenUploads.append */
  append(participant: string, data: Uint8Array): Promise<number> {
    return this.#uploads.append(participant, data)
  }

  /**
   * Makes a complete upload durable and accepted. An update that `inspect` refuses is removed; any other failure
   * leaves it to be committed again. Throws ProtocolError `upload/digest`, those of Ledger.accept, and what `inspect` throws.
   */
  async accept(participant: string, inspect: InspectUpdate): Promise<Receipt> {
    const entry = this.#uploads.entry(participant)
    const bytes = await this.#files.read(entry.path)
    const length = bytes.byteLength
    let found: Awaited<ReturnType<InspectUpdate>>
    try {
      found = await inspect(entry.digest, bytes)
      if (found.digest !== entry.digest || length !== entry.bytes) throw new ProtocolError('upload/digest')
    } catch (error) {
      if (isRefusal(error)) {
        await this.#uploads.drop(participant)
        this.#logRefusal(participant, error.code)
      }
      throw error
    }
    await this.#updateFiles.place(entry.path, entry.digest, () => this.#uploads.forget(participant))
    const { examples, norm, start } = found
    const update = { digest: entry.digest, bytes: length, examples, norm, start }
    try {
      const receipt = this.#ledger.accept(this.manifest, participant, update, this.#now().toISOString())
      this.#count()
      return this.#signer.sign(receipt, this.manifest)
    } catch (error) {
      if (!this.#ledger.hasUpdate(this.room, entry.digest)) await this.#updateFiles.discard(entry.digest)
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
    await this.#uploads.drop(participant)
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
    await this.#versionFolders.write(entry, files)
    try {
      this.#ledger.addVersion(this.room, entry, measured)
    } catch (error) {
      await this.#versionFolders.discard(entry.version)
      throw error
    }
    this.#versions.push(this.#digests.in(entry))
    return entry
  }

  heldBack(digest: Digest): Measured | null {
    return this.#ledger.heldBack(this.room, digest)
  }

  holdBack(digest: Digest, updates: readonly Digest[], measured: Measured): void {
    this.#ledger.holdBack(this.room, digest, updates, measured, this.#now().toISOString())
  }

  /** VersionFolders.restore */
  restoreVersion(entry: PublishedVersion, files: VersionFiles): Promise<void> {
    return this.#versionFolders.restore(entry, files)
  }

  /** The ledger has let go of it: now the files. */
  async #erase(withdrawal: Withdrawal): Promise<Withdrawal> {
    this.#count()
    this.#versions = this.#ledger.versions(this.room).map((version) => this.#digests.in(version))
    if (withdrawal.erased) await this.#updateFiles.erase(withdrawal.digest)
    await this.#versionFolders.erase(withdrawal.retired)
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
}
