/** Sends a file from disk as a stream: whole, by range, or not at all when the client has it (304). */
import { open } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ProtocolError } from '../protocol/errors.ts'
import { parseRange } from './ranges.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.gguf': 'application/octet-stream',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.safetensors': 'application/octet-stream',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
}

/** Named by digest, so it never changes: a browser need not ask again. */
export const IMMUTABLE = 'public, max-age=31536000, immutable'
/** May be kept, but must be asked about. */
export const REVALIDATE = 'no-cache'

export interface SentFile {
  readonly path: string
  readonly cacheControl: string
  /** Quoted; where the name does not fix the content it is made from size and time. */
  readonly etag?: string
}

/** Throws ProtocolError `request/not-found` (nothing sent yet) or `request/range` (Content-Range set). */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  sent: SentFile,
): Promise<void> {
  const file = await open(sent.path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') throw new ProtocolError('request/not-found')
    throw error
  })
  try {
    const found = await file.stat()
    if (!found.isFile()) throw new ProtocolError('request/not-found')
    const etag = sent.etag ?? `"${found.size.toString(16)}-${Math.trunc(found.mtimeMs).toString(16)}"`
    response.setHeader('ETag', etag)
    response.setHeader('Cache-Control', sent.cacheControl)
    response.setHeader('Accept-Ranges', 'bytes')
    response.setHeader('Content-Type', CONTENT_TYPES[extname(sent.path)] ?? 'application/octet-stream')
    if (matches(request.headers['if-none-match'], etag)) {
      response.writeHead(304).end()
      return
    }
    // A range of another version of the file would be glued to the wrong beginning.
    const ifRange = request.headers['if-range']
    const rangeHeader = ifRange === undefined || ifRange === etag ? request.headers.range : undefined
    const range = request.method === 'GET' ? parseRange(rangeHeader, found.size) : null
    if (range === 'unsatisfiable') {
      response.setHeader('Content-Range', `bytes */${found.size}`)
      throw new ProtocolError('request/range')
    }
    const { first, last } = range ?? { first: 0, last: found.size - 1 }
    response.setHeader('Content-Length', last - first + 1)
    if (range) response.setHeader('Content-Range', `bytes ${first}-${last}/${found.size}`)
    response.writeHead(range ? 206 : 200)
    if (request.method === 'HEAD' || last < first) {
      response.end()
      return
    }
    await pipeline(file.createReadStream({ start: first, end: last, autoClose: false }), response)
  } finally {
    await file.close()
  }
}

function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}
