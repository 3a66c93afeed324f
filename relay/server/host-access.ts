/** Whether a request comes from the host: by the token that only the host has. */
import type { IncomingMessage } from 'node:http'
import { ProtocolError } from '../protocol/errors.ts'
import { clientAddress, type RateLimit } from './address-limits.ts'
import { equalInConstantTime } from './identity.ts'

export interface HostAccess {
  /** As it is now: it may be replaced. */
  readonly hostToken: () => string
  /** Wrong join codes and host tokens, by address. */
  readonly wrongSecrets: RateLimit
  readonly trustProxy: boolean
}

/** Throws ProtocolError `host/token` or `request/too-often`. */
export function requireHost(
  request: IncomingMessage,
  { hostToken, wrongSecrets, trustProxy }: HostAccess,
): void {
  const [, token] = /^Bearer ([\x21-\x7e]{1,256})$/.exec(request.headers.authorization ?? '') ?? []
  if (token !== undefined && equalInConstantTime(token, hostToken())) return
  // 128 bits cannot be guessed: a limit that also refused the right token would only lock the host out.
  const isCounted = wrongSecrets.take(clientAddress(request, trustProxy))
  throw new ProtocolError(isCounted ? 'host/token' : 'request/too-often')
}
