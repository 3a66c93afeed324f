/** What a request is made of: its path as plain names, its method, its JSON. Each throws ProtocolError `request/…`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ProtocolError } from '../protocol/errors.ts'
import { MAX_MANIFEST_BYTES } from '../protocol/limits.ts'

/** One part of a path: no leading dot, so neither `..` nor hidden files; no NUL, slash or backslash. */
const PLAIN_NAME = /^[A-Za-z0-9_@~+][A-Za-z0-9._@~+-]*$/

/** The path's parts, decoded. Throws ProtocolError `request/not-found` for any that is not a plain name. */
export function pathNames(url: string): string[] {
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

export function requireMethod(
  request: IncomingMessage,
  response: ServerResponse,
  ...methods: string[]
): void {
  if (methods.includes(request.method ?? '')) return
  response.setHeader('Allow', methods.join(', '))
  throw new ProtocolError('request/method')
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
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
