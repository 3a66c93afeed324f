/**
 * `/api/rooms`: the rooms, what anybody may read of one (manifest, status, audit log, versions), and what only its host
 * may do.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import * as v from 'valibot'
import { CONTINUATION_FILE } from '../../models/adapters/continuation.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { digest, roomName } from '../protocol/fields.ts'
import { type DeletedRoom, joinCodeChangeSchema } from '../protocol/host.ts'
import { type Manifest, parseManifest } from '../protocol/manifest.ts'
import { measuredSchema } from '../protocol/measured.ts'
import { sendJson } from './answers.ts'
import { type HostAccess, requireHost } from './host-access.ts'
import { readJson, requireMethod } from './requests.ts'
import type { Room } from './room.ts'
import { REVALIDATE, sendFile } from './send-file.ts'

export interface RoomRoutesOptions extends HostAccess {
  readonly rooms: () => Iterable<Room>
  /** Throws ProtocolError `room/unknown` or `room/deleted`. */
  readonly findRoom: (name: string) => Room
  readonly createRoom: (manifest: Manifest) => Promise<Room>
  readonly deleteRoom: (name: string) => Promise<DeletedRoom>
}

const VERSION_FILES = ['adapter_config.json', 'adapter_model.safetensors', CONTINUATION_FILE, 'version.json']

/** `names`: of the path, after `/api/rooms`. Throws ProtocolError. */
export async function routeRooms(
  request: IncomingMessage,
  response: ServerResponse,
  [name, action, ...rest]: readonly string[],
  options: RoomRoutesOptions,
): Promise<void> {
  if (name === undefined) {
    requireMethod(request, response, 'GET', 'HEAD', 'POST')
    if (request.method !== 'POST')
      return sendJson(response, 200, { rooms: [...options.rooms()].map(describe) })
    requireHost(request, options)
    const room = await options.createRoom(parseManifest(await readJson(request)))
    return sendJson(response, 201, describe(room))
  }
  if (action === undefined) {
    requireMethod(request, response, 'DELETE')
    requireHost(request, options)
    return sendJson(response, 200, await options.deleteRoom(existing(name, options).store.room))
  }
  const host = hostAction(action, rest)
  if (host) {
    requireMethod(request, response, ...host.methods)
    requireHost(request, options)
    return sendJson(response, 200, await host.run(existing(name, options), request))
  }
  requireMethod(request, response, 'GET', 'HEAD')
  if (action === 'candidate') {
    requireHost(request, options)
    return sendCandidate(request, response, rest, existing(name, options))
  }
  const room = existing(name, options)
  if (action === 'manifest' && rest.length === 0) return sendJson(response, 200, room.store.manifest)
  if (action === 'status' && rest.length === 0) return sendJson(response, 200, room.status())
  if (action === 'audit' && rest.length === 0) return sendAuditLog(response, room)
  if (action === 'versions') return sendVersions(request, response, rest, room)
  throw new ProtocolError('request/not-found')
}

interface HostAction {
  readonly methods: readonly string[]
  run(room: Room, request: IncomingMessage): unknown
}

/** What only the host may do, by the path after the room's name; null if it is none of that. */
function hostAction(action: string, rest: readonly string[]): HostAction | null {
  const post = (run: HostAction['run']): HostAction => ({ methods: ['POST'], run })
  if (action === 'contributions') {
    const [update, decision, ...more] = rest
    if (!v.is(digest, update) || more.length > 0) return null
    if (decision === 'remove') return post((room) => room.remove(update))
    if (decision === 'approve') return post((room) => room.approve(update))
    if (decision === 'preview') return { methods: ['GET', 'HEAD'], run: (room) => room.preview(update) }
    return null
  }
  if (action === 'candidate') {
    const [version, decision, ...more] = rest
    if (!v.is(digest, version) || more.length > 0) return null
    if (decision === 'publish') return post((room) => room.publishCandidate(version))
    if (decision !== 'measured') return null
    return post(async (room, request) => {
      const measured = v.safeParse(measuredSchema, await readJson(request))
      if (!measured.success) throw new ProtocolError('request/malformed')
      return room.judge(version, measured.output)
    })
  }
  if (rest.length > 0) return null
  switch (action) {
    case 'overview':
      return { methods: ['GET', 'HEAD'], run: (room) => room.overview() }
    case 'close':
      return post((room) => room.close())
    case 'close-joining':
      return post((room) => room.closeJoining())
    case 'publish':
      return post((room) => room.publishNow())
    case 'join-code':
      return post(async (room, request) => {
        const change = v.safeParse(joinCodeChangeSchema, await readJson(request))
        if (!change.success) throw new ProtocolError('request/malformed')
        return room.setJoinCode(change.output.code)
      })
    default:
      return null
  }
}

/** JSON lines, as the ledger has them: docs/protocol.md. */
function sendAuditLog(response: ServerResponse, room: Room): void {
  const text = Buffer.from(room.store.audit.text())
  response.writeHead(200, {
    'Content-Type': 'application/jsonl; charset=utf-8',
    'Content-Length': text.byteLength,
    'Content-Disposition': `attachment; filename="${room.store.room}-audit.jsonl"`,
    'Cache-Control': 'no-store',
  })
  response.end(text)
}

async function sendVersions(
  request: IncomingMessage,
  response: ServerResponse,
  [number, file, ...more]: readonly string[],
  room: Room,
): Promise<void> {
  if (number === undefined) {
    const versions = room.store.versions().map(({ updates: _, ...version }) => version)
    return sendJson(response, 200, { versions })
  }
  const version = room.store.versions().find((candidate) => String(candidate.version) === number)
  if (!version || file === undefined || !VERSION_FILES.includes(file) || more.length > 0) {
    throw new ProtocolError('request/not-found')
  }
  if (version.retired) throw new ProtocolError('version/retired')
  // Not immutable: another data folder on this address may have a version of the same number.
  const etag = `"${version.digest}-${file}"`
  await sendFile(request, response, {
    path: room.store.versionPath(version.version, file),
    cacheControl: REVALIDATE,
    etag,
    until: room.gone,
  })
}

/** A file of the version that waits for the host's measurement. */
async function sendCandidate(
  request: IncomingMessage,
  response: ServerResponse,
  [file, ...more]: readonly string[],
  room: Room,
): Promise<void> {
  const candidate = room.candidate()
  if (!candidate) throw new ProtocolError('host/no-candidate')
  if (more.length > 0 || !candidate.files.some(({ name }) => name === file)) {
    throw new ProtocolError('request/not-found')
  }
  await sendFile(request, response, {
    path: room.store.candidate.filePath(file!),
    cacheControl: REVALIDATE,
    etag: `"${candidate.digest}-${file}"`,
    until: room.gone,
  })
}

function describe(room: Room) {
  const { manifest, manifestDigest } = room.store
  return { room: manifest.room, title: manifest.title, manifestDigest, ...room.status() }
}

function existing(name: string, options: RoomRoutesOptions): Room {
  if (!v.is(roomName, name)) throw new ProtocolError('room/unknown')
  return options.findRoom(name)
}
