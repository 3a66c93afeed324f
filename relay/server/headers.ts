/**
 * Headers of every response: page, worker scripts, model files, API answers and errors alike. The dev server sends
 * the same. A worker is bound only by the policy on its own script, so no response may lack them.
 *
 * COOP and COEP make the page cross-origin isolated (threads, exact timers). The policy lets the page talk to its
 * own origin and nobody else. `blob:` in script-src and worker-src is what threaded wasm starts its workers from;
 * without it they hang silently.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval' blob:",
  "worker-src 'self' blob:",
  "connect-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  // A room's name must not travel to other sites in a Referer.
  'Referrer-Policy': 'no-referrer',
}

export function applySecurityHeaders(response: ServerResponse): void {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value)
}

/** For answers written to a bare socket, before there is a response object. */
export function securityHeaderLines(): string {
  return Object.entries(SECURITY_HEADERS)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
}

/** RFC 9112, section 3.2: from HTTP/1.1 on a request names the host it is for. */
export function hasHost({ headers, httpVersion }: IncomingMessage): boolean {
  return headers.host !== undefined || httpVersion === '1.0'
}
