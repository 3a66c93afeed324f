/**
 * Sends a file from disk: as a stream, whole or by range; compressed where the caller allows it; or not at all when
 * the client has it (304).
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ProtocolError } from '../protocol/errors.ts'
import { type CompressedFiles, chooseCoding, isCompressible } from './compression.ts'
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
  /** Of an answer with the whole file; 200 unless given. */
  readonly status?: 200 | 404
  /** Quoted; where the name does not fix the content it is made from size and time. */
  readonly etag?: string
  /** Given where the file may be sent compressed. */
  readonly compressed?: CompressedFiles
  /** Once aborted, what is under way ends before its end. */
  readonly until?: AbortSignal
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
    const mayCompress = sent.compressed !== undefined && isCompressible(sent.path, found.size)
    if (mayCompress) response.setHeader('Vary', 'Accept-Encoding')
    // A range counts bytes of the file itself.
    const isWhole = request.headers.range === undefined
    const coding = mayCompress && isWhole ? chooseCoding(request.headers['accept-encoding']) : null
    const plainEtag = sent.etag ?? `"${found.size.toString(16)}-${Math.trunc(found.mtimeMs).toString(16)}"`
    // A strong tag names bytes, and those differ by coding.
    const etag = coding === null ? plainEtag : plainEtag.replace(/"$/, `-${coding}"`)
    response.setHeader('ETag', etag)
    response.setHeader('Cache-Control', sent.cacheControl)
    response.setHeader('Accept-Ranges', 'bytes')
    response.setHeader('Content-Type', CONTENT_TYPES[extname(sent.path)] ?? 'application/octet-stream')
    if (matches(request.headers['if-none-match'], etag)) {
      response.writeHead(304).end()
      return
    }
    if (coding !== null) {
      const read = () => readWhole(file, found.size)
      const bytes = await sent.compressed!.get(`${sent.path} ${plainEtag}`, coding, read)
      response.setHeader('Content-Encoding', coding)
      response.setHeader('Content-Length', bytes.byteLength)
      response.writeHead(sent.status ?? 200).end(request.method === 'HEAD' ? undefined : bytes)
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
    response.writeHead(range ? 206 : (sent.status ?? 200))
    if (request.method === 'HEAD' || last < first) {
      response.end()
      return
    }
    const stream = file.createReadStream({ start: first, end: last, autoClose: false })
    await pipeline(stream, response, { signal: sent.until })
  } finally {
    await file.close()
  }
}

async function readWhole(file: FileHandle, fileBytes: number): Promise<Uint8Array> {
  const bytes = await file.readFile()
  // Replaced under our hands: the tag already sent would name other bytes.
  if (bytes.byteLength !== fileBytes) throw new Error('a file changed while it was read')
  return bytes
}

function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}
