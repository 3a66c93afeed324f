/**
 * Checks a room's folder without the relay and without its database: every link of the audit log, that the updates and
 * versions in the folder are exactly those the log tells of, and that each version follows from its updates to the bit.
 * `merge` is the relay's own; it is given, because this folder does no arithmetic.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AuditEvent, type AuditLine, readAuditLog } from '../protocol/audit.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Manifest, manifestDigest, parseManifest } from '../protocol/manifest.ts'
import { aboutVersion } from './about-version.ts'

export type MergeForVerifying = (
  manifest: Manifest,
  updates: readonly { readonly digest: Digest; readonly path: string }[],
) => Promise<{ digest: Digest; files: Record<string, Uint8Array> }>

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
  withdrawn: number
  retired: number
}

/** Throws only if the folder is none of a room's (ProtocolError `store/damaged`). */
export async function verifyRoom(
  directory: string,
  merge: MergeForVerifying,
  onProgress: (checked: string) => void = () => undefined,
): Promise<Verified> {
  const problems: string[] = []
  const manifest = await readManifest(directory)
  const lines = await readLog(directory, problems)
  const expected = replay(lines, manifest, problems)
  onProgress(`${lines.length} lines of the log`)
  const intact = await checkUpdates(directory, expected, problems)
  onProgress(`${expected.updates.size} updates`)
  await checkNothingElse(join(directory, 'updates'), new Set(expected.updates.keys()), 'updates', problems)
  const numbers = new Set([...expected.versions.keys()].map(String))
  await checkNothingElse(join(directory, 'versions'), numbers, 'versions', problems)
  for (const published of expected.versions.values()) {
    await checkVersion(directory, manifest, published, intact, merge, problems)
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

async function readManifest(directory: string): Promise<Manifest> {
  try {
    return parseManifest(JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')))
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
  const expected: Expected = { updates: new Map(), versions: new Map(), withdrawn: 0, retired: 0 }
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
        if (event.erased) expected.updates.delete(event.digest)
        expected.withdrawn++
        break
      case 'published':
        if (!event.updates.every((update) => expected.updates.has(update))) {
          problem(line, 'publishes an update that was not accepted or was withdrawn')
        }
        expected.versions.set(event.version, { at: line.at, event })
        break
      case 'retired':
        if (!expected.versions.delete(event.version))
          problem(line, 'retires a version that was not published')
        expected.retired++
        break
      case 'approved':
      case 'refused':
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
  published: PublishedLine,
  intact: ReadonlyMap<Digest, string>,
  merge: MergeForVerifying,
  problems: string[],
): Promise<void> {
  const { version, digest, updates, files } = published.event
  const folder = join(directory, 'versions', String(version))
  for (const file of files) {
    const bytes = await readFile(join(folder, file.name)).catch(() => null)
    if (bytes === null) problems.push(`Version ${version} lacks ${file.name}.`)
    else if (sha256(bytes) !== file.sha256) {
      problems.push(`Version ${version}: ${file.name} is not what was published.`)
    }
  }
  await checkAbout(folder, published, manifest, problems)
  const names = new Set([...files.map(({ name }) => name), 'version.json'])
  await checkNothingElse(folder, names, `files of version ${version}`, problems)
  // Noise cannot be drawn again: a private room's one publication stands by its digests alone.
  if (manifest.privacy) return
  if (!updates.every((update) => intact.has(update))) return // named above
  const merged = await merge(
    manifest,
    updates.map((update) => ({ digest: update, path: intact.get(update)! })),
  )
  const follows =
    merged.digest === digest &&
    files.every(({ name, sha256: expected }) => {
      const bytes = Object.hasOwn(merged.files, name) ? merged.files[name] : undefined
      return bytes !== undefined && sha256(bytes) === expected
    })
  if (!follows) problems.push(`Version ${version} does not follow from its updates.`)
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
