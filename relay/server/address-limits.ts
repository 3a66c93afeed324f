/**
 * What one network address may take of the relay. A participant's token comes first: whoever resumes is never counted
 * here, and nothing is refused for what a neighbour did once inside. The limits are generous because a school class
 * shares one address behind its router; they stop a machine, not a class.
 *
 * Counting is a token bucket an address: `perMinute` tokens, refilled evenly, so a burst of that many passes at once.
 * Addresses are kept in memory only while they differ from one never seen, and never logged.
 */
import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'

export interface AddressLimits {
  /** Connections at once: a class of 30 has some 60 over a reload; 200 is three such classes. */
  readonly sockets: number
  /** New participants a minute; resuming ones are not counted. */
  readonly joinsPerMinute: number
  /** Wrong join codes or host tokens a minute: a class that mistypes passes, guessing 40 bits takes tens of thousands of years. */
  readonly wrongSecretsPerMinute: number
}

export const DEFAULT_ADDRESS_LIMITS: AddressLimits = {
  sockets: 200,
  joinsPerMinute: 300,
  wrongSecretsPerMinute: 30,
}

/** Buckets kept before the fullest are looked for: at 100 bytes each some megabytes. */
const MAX_BUCKETS = 20_000

export class RateLimit {
  readonly #perMinute: number
  readonly #nowMs: () => number
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>()

  constructor(perMinute: number, nowMs: () => number = () => performance.now()) {
    this.#perMinute = perMinute
    this.#nowMs = nowMs
  }

  /** Whether `take` would succeed. */
  has(key: string): boolean {
    return this.#tokens(key) >= 1
  }

  /** False once the key has used up its minute. */
  take(key: string): boolean {
    const tokens = this.#tokens(key)
    if (tokens < 1) return false
    if (!this.#buckets.has(key) && this.#buckets.size >= MAX_BUCKETS) this.#makeRoom()
    // Taken out first, so that the map is in the order of the last use.
    this.#buckets.delete(key)
    this.#buckets.set(key, { tokens: tokens - 1, atMs: this.#nowMs() })
    return true
  }

  /** Keys remembered; those that are full again are forgotten when room is needed. */
  get size(): number {
    return this.#buckets.size
  }

  #tokens(key: string): number {
    const bucket = this.#buckets.get(key)
    if (!bucket) return this.#perMinute
    const refilled = ((this.#nowMs() - bucket.atMs) / 60_000) * this.#perMinute
    return Math.min(this.#perMinute, bucket.tokens + refilled)
  }

  /** Those unused for a minute are full again; if none is, the longest unused goes. */
  #makeRoom(): void {
    const full = this.#nowMs() - 60_000
    for (const [key, { atMs }] of this.#buckets) {
      if (atMs > full && this.#buckets.size < MAX_BUCKETS) break
      this.#buckets.delete(key)
    }
  }
}

/** What is held at once, by key. */
export class HeldCount {
  readonly #most: number
  readonly #held = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  isFull(key: string): boolean {
    return (this.#held.get(key) ?? 0) >= this.#most
  }

  add(key: string): void {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1)
  }

  remove(key: string): void {
    const left = (this.#held.get(key) ?? 0) - 1
    if (left > 0) this.#held.set(key, left)
    else this.#held.delete(key)
  }

  get size(): number {
    return this.#held.size
  }
}

/**
 * Whom a request is counted to. With `trustProxy` that is the last entry of X-Forwarded-For, the one the proxy itself
 * has written: those before it are whatever the client sent. An IPv6 address counts as its /64, which is what one
 * household or machine is given.
 */
export function clientAddress({ headers, socket }: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? headers['x-forwarded-for'] : undefined
  const last = (Array.isArray(forwarded) ? forwarded.at(-1) : forwarded)?.split(',').at(-1)?.trim()
  return addressKey(last || socket.remoteAddress)
}

/** An address as it is counted. */
export function addressKey(text = ''): string {
  const address = text.replace(/^::ffff:(?=\d+\.)/i, '')
  return isIPv6(address) ? networkOf(address) : address.slice(0, 64)
}

function networkOf(address: string): string {
  const [head = '', tail] = address.split('%', 1)[0]!.toLowerCase().split('::')
  const left = head.split(':').filter((group) => group !== '')
  if (tail !== undefined) {
    const right = tail.split(':').filter((group) => group !== '')
    while (left.length + right.length < 8) left.push('0')
    left.push(...right)
  }
  return `${left
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

/** Asked from this very machine, and not by a proxy on behalf of somebody else. */
export function isLocal({ headers, socket }: IncomingMessage): boolean {
  const isForwarded = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'].some((name) => name in headers)
  return !isForwarded && /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/i.test(socket.remoteAddress ?? '')
}
