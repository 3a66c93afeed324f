/**
 * The HTTP side: the page, the base model's files, the rooms' manifests and versions, and what only the host may
 * do. Every path is taken apart into plain names first, so nothing outside the folders can be reached.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { CONTINUATION_FILE } from '../../models/adapters/continuation.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { digest, roomName } from '../protocol/fields.ts'
import { joinCodeChangeSchema, type Offer } from '../protocol/host.ts'
import { MAX_MANIFEST_BYTES } from '../protocol/limits.ts'
import { type Manifest, parseManifest } from '../protocol/manifest.ts'
import { measuredSchema } from '../protocol/measured.ts'
import { diskError } from '../store/disk-errors.ts'
import { clientAddress, isLocal, type RateLimit } from './address-limits.ts'
import { sendError, sendJson } from './answers.ts'
import { CompressedFiles } from './compression.ts'
import { hasHost } from './headers.ts'
import { equalInConstantTime } from './identity.ts'
import type { RelayMetrics } from './metrics.ts'
import type { Room } from './room.ts'
import { IMMUTABLE, REVALIDATE, sendFile } from './send-file.ts'

/** A base model as the relay serves it. */
export interface ServedModel {
  /** The manifest's base.digest. */
  readonly digest: string
  /** File name -> path on disk. */
  readonly files: ReadonlyMap<string, string>
}

export interface HttpOptions {
  /** The built page; null where only the API is wanted. */
  readonly pageDir: string | null
  readonly models: readonly ServedModel[]
  /** As it is now: it may be replaced. */
  readonly hostToken: () => string
  /** Answers the new one. */
  readonly replaceHostToken: () => Promise<string>
  readonly rooms: () => Iterable<Room>
  readonly findRoom: (name: string) => Room | undefined
  readonly createRoom: (manifest: Manifest) => Promise<Room>
  /** What the host's console may open a room with; null where whoever runs the relay offers nothing. */
  readonly offer: () => Offer | null
  readonly log: Logger
  /** Wrong join codes and host tokens, by address. */
  readonly wrongSecrets: RateLimit
  readonly trustProxy: boolean
  readonly metrics: RelayMetrics
  /** Why no update can be taken now; empty where one can. */
  readonly unreadiness: () => Promise<readonly string[]>
}

/** One part of a path: no leading dot, so neither `..` nor hidden files; no NUL, slash or backslash. */
const PLAIN_NAME = /^[A-Za-z0-9_@~+][A-Za-z0-9._@~+-]*$/

/** Vite puts a content hash into the names of what it builds into assets/. */
const isHashedAsset = (names: readonly string[]) => names[0] === 'assets' && names.length > 1

const VERSION_FILES = ['adapter_config.json', 'adapter_model.safetensors', CONTINUATION_FILE, 'version.json']

/** What to call for each request; never throws. The security headers are already set (server.ts). */
export function createHttpHandler(options: HttpOptions) {
  const compressed = new CompressedFiles()
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await route(request, response, options, compressed)
    } catch (error) {
      answerError(error, request, response, options.log)
    }
  }
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
  compressed: CompressedFiles,
): Promise<void> {
  if (!hasHost(request)) throw new ProtocolError('request/malformed')
  const names = pathNames(request.url ?? '')
  const [area, ...rest] = names
  switch (area) {
    case 'healthz':
      requireMethod(request, response, 'GET', 'HEAD')
      if (rest.length > 0) throw new ProtocolError('request/not-found')
      return sendJson(response, 200, { ok: true })
    case 'readyz': {
      requireMethod(request, response, 'GET', 'HEAD')
      if (rest.length > 0) throw new ProtocolError('request/not-found')
      const reasons = await options.unreadiness()
      return sendJson(response, reasons.length > 0 ? 503 : 200, { ready: reasons.length === 0, reasons })
    }
    case 'metrics':
      requireMethod(request, response, 'GET', 'HEAD')
      if (rest.length > 0) throw new ProtocolError('request/not-found')
      if (!isLocal(request)) requireHost(request, options)
      return sendMetrics(response, options.metrics)
    case 'models':
      requireMethod(request, response, 'GET', 'HEAD')
      return sendModelFile(request, response, rest, options)
    case 'api':
      if (rest[0] === 'host') return routeHost(request, response, rest.slice(1), options)
      if (rest[0] !== 'rooms') throw new ProtocolError('request/not-found')
      return routeRooms(request, response, rest.slice(1), options)
    default:
      requireMethod(request, response, 'GET', 'HEAD')
      return sendPage(request, response, names, options, compressed)
  }
}

/** The path's parts, decoded. Throws ProtocolError `request/not-found` for any that is not a plain name. */
function pathNames(url: string): string[] {
  const path = url.split(/[?#]/, 1)[0]
  if (path === undefined || !path.startsWith('/')) throw new ProtocolError('request/malformed')
  if (path === '/') return []
  return path
    .slice(1)
    .split('/')
    .map((part) => {
      let name: string
      try {
        name = decodeURIComponent(part)
      } catch {
        throw new ProtocolError('request/malformed')
      }
      if (!PLAIN_NAME.test(name)) throw new ProtocolError('request/not-found')
      return name
    })
}

/** Every screen is the one page: the invitation to a room, what happened in it, the host's console. */
function isPagePath(names: readonly string[]): boolean {
  if (names.length === 0) return true
  if (names[0] === 'join' || names[0] === 'round') return names.length === 2
  return names[0] === 'host' && names.length <= 2
}

async function sendPage(
  request: IncomingMessage,
  response: ServerResponse,
  names: readonly string[],
  { pageDir }: HttpOptions,
  compressed: CompressedFiles,
): Promise<void> {
  const isPage = isPagePath(names)
  if (pageDir === null) throw new ProtocolError(isPage ? 'request/page-missing' : 'request/not-found')
  const path = isPage ? join(pageDir, 'index.html') : join(pageDir, ...names)
  const cacheControl = isHashedAsset(names) ? IMMUTABLE : REVALIDATE
  try {
    await sendFile(request, response, { path, cacheControl, compressed })
  } catch (error) {
    if (isPage && error instanceof ProtocolError && error.code === 'request/not-found') {
      throw new ProtocolError('request/page-missing')
    }
    throw error
  }
}

async function sendModelFile(
  request: IncomingMessage,
  response: ServerResponse,
  [digest, file, ...more]: readonly string[],
  { models }: HttpOptions,
): Promise<void> {
  const path = models.find((model) => model.digest === digest)?.files.get(file ?? '')
  if (path === undefined || more.length > 0) throw new ProtocolError('request/not-found')
  await sendFile(request, response, { path, cacheControl: IMMUTABLE, etag: `"${digest}-${file}"` })
}

/** `/api/host/offer`, which also tells a console whether its token is right, and `/api/host/key`. */
async function routeHost(
  request: IncomingMessage,
  response: ServerResponse,
  [what, ...more]: readonly string[],
  options: HttpOptions,
): Promise<void> {
  if (more.length > 0 || (what !== 'offer' && what !== 'key')) throw new ProtocolError('request/not-found')
  if (what === 'key') {
    requireMethod(request, response, 'POST')
    requireHost(request, options)
    return sendJson(response, 200, { hostToken: await options.replaceHostToken() })
  }
  requireMethod(request, response, 'GET', 'HEAD')
  requireHost(request, options)
  const offer = options.offer()
  if (!offer) throw new ProtocolError('request/not-found')
  sendJson(response, 200, offer)
}

async function routeRooms(
  request: IncomingMessage,
  response: ServerResponse,
  [name, action, ...rest]: readonly string[],
  options: HttpOptions,
): Promise<void> {
  if (name === undefined) {
    requireMethod(request, response, 'GET', 'HEAD', 'POST')
    if (request.method !== 'POST')
      return sendJson(response, 200, { rooms: [...options.rooms()].map(describe) })
    requireHost(request, options)
    const room = await options.createRoom(parseManifest(await readJson(request)))
    return sendJson(response, 201, describe(room))
  }
  if (action === undefined) throw new ProtocolError('request/not-found')
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

async function sendMetrics(response: ServerResponse, metrics: RelayMetrics): Promise<void> {
  const text = Buffer.from(await metrics.text())
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Type', metrics.contentType)
  response.setHeader('Content-Length', text.byteLength)
  response.writeHead(200).end(text)
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
  })
}

function describe(room: Room) {
  const { manifest, manifestDigest } = room.store
  return { room: manifest.room, title: manifest.title, manifestDigest, ...room.status() }
}

function existing(name: string, options: HttpOptions): Room {
  const room = v.is(roomName, name) ? options.findRoom(name) : undefined
  if (!room) throw new ProtocolError('room/unknown')
  return room
}

function requireMethod(request: IncomingMessage, response: ServerResponse, ...methods: string[]): void {
  if (methods.includes(request.method ?? '')) return
  response.setHeader('Allow', methods.join(', '))
  throw new ProtocolError('request/method')
}

function requireHost(
  request: IncomingMessage,
  { hostToken, wrongSecrets, trustProxy }: Pick<HttpOptions, 'hostToken' | 'wrongSecrets' | 'trustProxy'>,
): void {
  const [, token] = /^Bearer ([\x21-\x7e]{1,256})$/.exec(request.headers.authorization ?? '') ?? []
  if (token !== undefined && equalInConstantTime(token, hostToken())) return
  // 128 bits cannot be guessed: a limit that also refused the right token would only lock the host out.
  const isCounted = wrongSecrets.take(clientAddress(request, trustProxy))
  throw new ProtocolError(isCounted ? 'host/token' : 'request/too-often')
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  // A form of another site cannot send this type, so it cannot act for the host either.
  if (request.headers['content-type']?.split(';')[0] !== 'application/json') {
    throw new ProtocolError('request/malformed')
  }
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MAX_MANIFEST_BYTES) throw new ProtocolError('request/too-large')
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch (error) {
    throw new ProtocolError('request/malformed', undefined, { cause: error })
  }
}

function answerError(error: unknown, request: IncomingMessage, response: ServerResponse, log: Logger): void {
  const hungUp = (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE'
  const code: ErrorCode = error instanceof ProtocolError ? error.code : (diskError(error) ?? 'relay/internal')
  if (!hungUp && !(error instanceof ProtocolError))
    log.error({ err: error }, 'a request could not be handled')
  if (response.headersSent) {
    // Half a file is out: only ending the connection tells the client that the rest is missing.
    response.destroy()
    return
  }
  for (const name of ['ETag', 'Accept-Ranges', 'Content-Length']) response.removeHeader(name)
  // A body that nobody will read must not be taken for the next request.
  if (!request.complete) response.setHeader('Connection', 'close')
  sendError(response, code, error instanceof ProtocolError ? error.message : undefined)
}
