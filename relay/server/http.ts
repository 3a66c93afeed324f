/**
 * The HTTP side: the page, the base model's files, the rooms' manifests and versions, and what only the host may
 * do. Every path is taken apart into plain names first, so nothing outside the folders can be reached.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { type Offer, type OfferedModel, type StartRequest, startRequestSchema } from '../protocol/host.ts'
import { diskError } from '../store/disk-errors.ts'
import { isLocal } from './address-limits.ts'
import { sendError, sendJson } from './answers.ts'
import { CompressedFiles } from './compression.ts'
import { hasHost } from './headers.ts'
import { requireHost } from './host-access.ts'
import type { RelayMetrics } from './metrics.ts'
import { pathNames, readJson, requireMethod } from './requests.ts'
import { type RoomRoutesOptions, routeRooms } from './room-routes.ts'
import { IMMUTABLE, REVALIDATE, sendFile } from './send-file.ts'

/** A base model as the relay serves it. */
export interface ServedModel {
  /** The manifest's base.digest. */
  readonly digest: string
  /** File name -> path on disk. */
  readonly files: ReadonlyMap<string, string>
}

export interface HttpOptions extends RoomRoutesOptions {
  /** The built page; null where only the API is wanted. */
  readonly pageDir: string | null
  readonly models: readonly ServedModel[]
  /** Answers the new one. */
  readonly replaceHostToken: () => Promise<string>
  /** What the host's console may open a room with; null where whoever runs the relay offers nothing. */
  readonly offer: () => Offer | null
  /** Makes a start file of `lora-sb`; null where whoever runs the relay makes none. */
  readonly makeStart: ((request: StartRequest) => Promise<OfferedModel>) | null
  readonly log: Logger
  readonly metrics: RelayMetrics
  /** Why no update can be taken now; empty where one can. */
  readonly unreadiness: () => Promise<readonly string[]>
}

/** Vite puts a content hash into the names of what it builds into assets/. */
const isHashedAsset = (names: readonly string[]) => names[0] === 'assets' && names.length > 1

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

/** Every screen is the one page: the invitation to a room, what happened in it, the host's console. */
function isPagePath(names: readonly string[]): boolean {
  if (names.length === 0) return true
  if (names[0] === 'join' || names[0] === 'round') return names.length <= 2
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
    if (!(error instanceof ProtocolError) || error.code !== 'request/not-found') throw error
    if (isPage) throw new ProtocolError('request/page-missing')
    if (!isNavigation(request)) throw error
    // A person with a mistyped link gets the page, which says so; a program its JSON.
    const page = {
      path: join(pageDir, 'index.html'),
      cacheControl: REVALIDATE,
      status: 404,
      compressed,
    } as const
    await sendFile(request, response, page)
  }
}

/** A browser asks to show what is there: https://www.w3.org/TR/fetch-metadata/, and text/html for older ones. */
function isNavigation({ headers }: IncomingMessage): boolean {
  const mode = headers['sec-fetch-mode']
  return mode === undefined ? (headers.accept ?? '').includes('text/html') : mode === 'navigate'
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

/** `/api/host/offer`, which also tells a console whether its token is right, `/api/host/key` and `/api/host/starts`. */
async function routeHost(
  request: IncomingMessage,
  response: ServerResponse,
  [what, ...more]: readonly string[],
  options: HttpOptions,
): Promise<void> {
  if (more.length > 0) throw new ProtocolError('request/not-found')
  if (what === 'starts') {
    requireMethod(request, response, 'POST')
    requireHost(request, options)
    if (!options.makeStart) throw new ProtocolError('request/not-found')
    const asked = v.safeParse(startRequestSchema, await readJson(request))
    if (!asked.success) throw new ProtocolError('request/malformed')
    return sendJson(response, 200, await options.makeStart(asked.output))
  }
  if (what !== 'offer' && what !== 'key') throw new ProtocolError('request/not-found')
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

async function sendMetrics(response: ServerResponse, metrics: RelayMetrics): Promise<void> {
  const text = Buffer.from(await metrics.text())
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Type', metrics.contentType)
  response.setHeader('Content-Length', text.byteLength)
  response.writeHead(200).end(text)
}

function answerError(error: unknown, request: IncomingMessage, response: ServerResponse, log: Logger): void {
  // By the client, or by the relay because what is sent is there no more.
  const hungUp = ['ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  )
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
