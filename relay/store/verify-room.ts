/**
 * Checks a room's folder without the relay and without its database: every link of the audit log, that the updates and
 * versions in the folder are exactly those the log tells of, and that each version follows from its updates to the bit.
 * The arithmetic is the relay's own; it is given, because this folder does none.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CONTINUATION_FILE } from '../../models/adapters/continuation.ts'
import { type AuditEvent, type AuditLine, readAuditLog } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { isStepped, type Manifest, manifestDigest, parseManifest } from '../protocol/manifest.ts'
import { aboutVersion } from './about-version.ts'

type UpdateFiles = readonly { readonly digest: Digest; readonly path: string }[]

export interface RoomVerifier {
  merge(
    manifest: Manifest,
    updates: UpdateFiles,
    origin: { readonly digest: Digest; readonly bytes: Uint8Array } | null,
  ): Promise<{ digest: Digest; files: Record<string, Uint8Array> }>
  /**
   * A private room's release: the digest that its files have, and whether they differ from the mean by noise of the
   * size promised; null where that cannot be told.
   */
  checkRelease(
    manifest: Manifest,
    updates: UpdateFiles,
    files: Readonly<Record<string, Uint8Array>>,
  ): Promise<{ digest: Digest; isNoisy: boolean | null }>
}

export interface Verified {
  readonly room: string
  readonly lines: number
  readonly updates: number
  /** Tombstones: contributions that were withdrawn. */
  readonly withdrawn: number
  /** Published versions that are there, each merged anew. */
  readonly versions: number
  /** Versions erased with a withdrawn contribution. */
  readonly retired: number
  /** One sentence each; empty if all is intact. */
  readonly problems: readonly string[]
}

interface PublishedLine {
  readonly at: string
  readonly event: Extract<AuditEvent, { event: 'published' }>
}

/** What the log says should be there. */
interface Expected {
  /** Present updates and their sizes. */
  readonly updates: Map<Digest, number>
  readonly versions: Map<number, PublishedLine>
  /** What a private room's noise was drawn for. */
  drawn: readonly Digest[] | null
  /** Rounds that have ended, with their updates. */
  readonly rounds: Map<number, readonly Digest[]>
  withdrawn: number
  retired: number
}

/** Throws only if the folder is none of a room's (ProtocolError `store/damaged`). */
export async function verifyRoom(
  directory: string,
  verifier: RoomVerifier,
  onProgress: (checked: string) => void = () => undefined,
): Promise<Verified> {
  const problems: string[] = []
  const manifest = await readManifest(directory, problems)
  const lines = await readLog(directory, problems)
  const expected = replay(lines, manifest, problems)
  onProgress(`${lines.length} lines of the log`)
  const intact = await checkUpdates(directory, expected, problems)
  onProgress(`${expected.updates.size} updates`)
  await checkNothingElse(join(directory, 'updates'), new Set(expected.updates.keys()), 'updates', problems)
  const numbers = new Set([...expected.versions.keys()].map(String))
  await checkNothingElse(join(directory, 'versions'), numbers, 'versions', problems)
  // Under another manifest than theirs no version follows from its updates; the log's first line has said so.
  const made = namesManifest(lines, manifest) ? [...expected.versions.values()] : []
  for (const published of made) {
    const before = expected.versions.get(published.event.version - 1)
    await checkVersion(directory, manifest, { published, before }, intact, verifier, problems)
    onProgress(`version ${published.event.version}`)
  }
  return {
    room: manifest.room,
    lines: lines.length,
    updates: expected.updates.size,
    withdrawn: expected.withdrawn,
    versions: expected.versions.size,
    retired: expected.retired,
    problems,
  }
}

const namesManifest = (lines: readonly AuditLine[], manifest: Manifest) =>
  lines.some(({ event }) => event.event === 'created' && event.manifestDigest === manifestDigest(manifest))

async function readManifest(directory: string, problems: string[]): Promise<Manifest> {
  try {
    const text = await readFile(join(directory, 'manifest.json'), 'utf8')
    const value: unknown = JSON.parse(text)
    const manifest = parseManifest(value)
    // 1E-8 means what 1e-8 does, and is not what the relay wrote.
    if (text !== `${JSON.stringify(value, null, 2)}\n`)
      problems.push('manifest.json is not as it was written.')
    return manifest
  } catch (error) {
    throw new ProtocolError(
      'store/damaged',
      `${directory} has no readable manifest.json; name a room's folder, such as oneround-data/rooms/main.`,
      { cause: error },
    )
  }
}

async function readLog(directory: string, problems: string[]): Promise<AuditLine[]> {
  const text = await readFile(join(directory, 'audit.jsonl'), 'utf8').catch(() => null)
  if (text === null) {
    problems.push('The audit log audit.jsonl is missing.')
    return []
  }
  try {
    return readAuditLog(text)
  } catch (error) {
    problems.push((error as Error).message)
    return []
  }
}

function replay(lines: readonly AuditLine[], manifest: Manifest, problems: string[]): Expected {
  const expected: Expected = {
    updates: new Map(),
    versions: new Map(),
    drawn: null,
    rounds: new Map(),
    withdrawn: 0,
    retired: 0,
  }
  const problem = (line: AuditLine, what: string) =>
    problems.push(`Line ${line.sequence} of the audit log ${what}.`)
  for (const line of lines) {
    const { event } = line
    switch (event.event) {
      case 'created':
        if (line.sequence !== 1) problem(line, 'creates the room a second time')
        if (event.manifestDigest !== manifestDigest(manifest)) problem(line, 'names another manifest')
        break
      case 'accepted':
        expected.updates.set(event.digest, event.bytes)
        break
      case 'withdrawn':
        if (!expected.updates.has(event.digest)) problem(line, 'withdraws what was not accepted')
        if (expected.drawn) problem(line, 'withdraws after the noise was drawn')
        if (event.erased) expected.updates.delete(event.digest)
        expected.withdrawn++
        break
      case 'published':
        if (!event.updates.every((update) => expected.updates.has(update))) {
          problem(line, 'publishes an update that was not accepted or was withdrawn')
        }
        if (manifest.privacy && event.updates.join() !== expected.drawn?.join()) {
          problem(line, 'publishes other updates than noise was drawn for')
        }
        if (isStepped(manifest.mode) && event.updates.join() !== expected.rounds.get(event.version)?.join()) {
          problem(line, 'publishes other updates than those of its round')
        }
        expected.versions.set(event.version, { at: line.at, event })
        break
      case 'retired':
        if (!expected.versions.delete(event.version))
          problem(line, 'retires a version that was not published')
        expected.retired++
        break
      case 'drawn':
        if (expected.drawn) problem(line, 'draws noise a second time')
        if (!event.updates.every((update) => expected.updates.has(update))) {
          problem(line, 'draws noise for an update that was not accepted or was withdrawn')
        }
        expected.drawn = event.updates
        break
      case 'round-closed':
        if (event.round !== expected.rounds.size + 1) problem(line, 'ends a round out of its turn')
        expected.rounds.set(event.round, event.updates)
        break
      case 'deleted':
        problem(line, 'deletes a room, which no room’s own log tells')
        break
      case 'approved':
      case 'held-back':
      case 'refused':
      case 'host-key-replaced':
      case 'joining-closed':
      case 'closed':
        break
      default:
        event satisfies never
    }
  }
  if (lines.length > 0 && lines[0]!.event.event !== 'created') {
    problems.push('The audit log does not begin with the room being created.')
  }
  for (const { event } of expected.versions.values()) {
    const { version, updates } = event
    if (updates.every((update) => expected.updates.has(update))) continue
    problems.push(`Version ${version} holds a withdrawn update, and the log does not retire it.`)
  }
  return expected
}

/** Where those that are intact lie. */
async function checkUpdates(directory: string, expected: Expected, problems: string[]) {
  const intact = new Map<Digest, string>()
  for (const digest of expected.updates.keys()) {
    const path = join(directory, 'updates', digest)
    const bytes = await readFile(path).catch(() => null)
    if (bytes === null) problems.push(`Update ${digest} is missing.`)
    else if (sha256(bytes) !== digest) problems.push(`Update ${digest} does not have its digest any more.`)
    else intact.set(digest, path)
  }
  return intact
}

async function checkNothingElse(
  folder: string,
  expected: ReadonlySet<string>,
  what: string,
  problems: string[],
): Promise<void> {
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    if (!expected.has(name))
      problems.push(`There is a file among the ${what} that the log does not tell of: ${name}.`)
  }
}

async function checkVersion(
  directory: string,
  manifest: Manifest,
  { published, before }: { published: PublishedLine; before: PublishedLine | undefined },
  intact: ReadonlyMap<Digest, string>,
  verifier: RoomVerifier,
  problems: string[],
): Promise<void> {
  const { version, digest, updates, files } = published.event
  const folder = join(directory, 'versions', String(version))
  const found: Record<string, Uint8Array> = {}
  for (const file of files) {
    const bytes = await readFile(join(folder, file.name)).catch(() => null)
    if (bytes === null) problems.push(`Version ${version} lacks ${file.name}.`)
    else if (sha256(bytes) !== file.sha256) {
      problems.push(`Version ${version}: ${file.name} is not what was published.`)
    } else found[file.name] = bytes
  }
  await checkAbout(folder, published, manifest, problems)
  const names = new Set([...files.map(({ name }) => name), 'version.json'])
  await checkNothingElse(folder, names, `files of version ${version}`, problems)
  if (!updates.every((update) => intact.has(update))) return // named above
  const stored = updates.map((update) => ({ digest: update, path: intact.get(update)! }))
  if (manifest.privacy) {
    // Noise cannot be drawn again: the files themselves are looked at.
    if (Object.keys(found).length < files.length) return // named above
    const release = await verifier.checkRelease(manifest, stored, found)
    if (release.digest !== digest) problems.push(`Version ${version} does not have its merged digest.`)
    if (release.isNoisy === false) {
      problems.push(`Version ${version} does not hold the noise that the room promises.`)
    }
    return
  }
  const goesOn = isStepped(manifest.mode) && version > 1
  const origin = goesOn && before ? await originOf(directory, before) : null
  if (goesOn && origin === null) return // named with the version before
  const merged = await verifier.merge(manifest, stored, origin)
  const follows =
    merged.digest === digest &&
    files.every(({ name, sha256: expected }) => {
      const bytes = Object.hasOwn(merged.files, name) ? merged.files[name] : undefined
      return bytes !== undefined && sha256(bytes) === expected
    })
  if (!follows) problems.push(`Version ${version} does not follow from its updates.`)
}

/** What a round goes on from; null where that is damaged, which is named with its own version. */
async function originOf(directory: string, { event: { version, digest, files } }: PublishedLine) {
  const path = join(directory, 'versions', String(version), CONTINUATION_FILE)
  const bytes = await readFile(path).catch(() => null)
  const expected = files.find(({ name }) => name === CONTINUATION_FILE)?.sha256
  return bytes && sha256(bytes) === expected ? { digest, bytes } : null
}

/** To the letter what the relay writes. */
async function checkAbout(
  folder: string,
  { event: { version, digest, updates }, at }: PublishedLine,
  manifest: Manifest,
  problems: string[],
): Promise<void> {
  const expected = aboutVersion({ version, digest, updates, createdAt: at }, manifestDigest(manifest))
  const found = await readFile(join(folder, 'version.json'), 'utf8').catch(() => null)
  if (found !== expected) problems.push(`Version ${version}: version.json is not what was published.`)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
