/** Short answers over HTTP: JSON, and errors as `{"error":{"code","message"}}` with the status of their code. */
import type { ServerResponse } from 'node:http'
import { type ErrorCode, sentenceFor } from '../protocol/errors.ts'

/** HTTP status of each code that an HTTP answer can carry; the others are 500. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  'host/at-close': 409,
  'host/no-candidate': 404,
  'host/not-waiting': 409,
  'host/token': 401,
  'host/unknown-contribution': 404,
  'join/origin': 403,
  'join/too-many': 503,
  'manifest/malformed': 400,
  'request/expectation': 417,
  'request/malformed': 400,
  'request/method': 405,
  'request/not-found': 404,
  'request/page-missing': 404,
  'request/range': 416,
  'request/too-often': 429,
  'request/too-large': 413,
  'relay/stopping': 503,
  'room/deleted': 410,
  'room/exists': 409,
  'room/limit': 409,
  'room/unknown': 404,
  'room/unknown-base': 400,
  'store/full': 507,
  'version/retired': 410,
  'withdraw/too-late': 409,
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Type', 'application/json; charset=utf-8')
  response.setHeader('Content-Length', bytes.length)
  response.writeHead(status).end(bytes)
}

export function sendError(response: ServerResponse, code: ErrorCode, message = sentenceFor(code)): void {
  sendJson(response, STATUS[code] ?? 500, { error: { code, message } })
}
