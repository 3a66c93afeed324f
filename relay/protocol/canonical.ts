/**
 * One spelling of a JSON value, so that the same value has the same digest everywhere: keys sorted by UTF-16 code
 * unit, no spaces, numbers and strings as ECMAScript's JSON.stringify writes them (RFC 8785 for the values used here).
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Lower-case hex SHA-256. */
export type Digest = string & { readonly __brand: 'sha256' }

export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('canonical JSON has no NaN or infinity')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`
  }
  throw new TypeError(`canonical JSON has no ${typeof value}`)
}

export function digestOf(bytes: Uint8Array): Digest {
  return bytesToHex(sha256(bytes)) as Digest
}

export function digestOfText(text: string): Digest {
  return digestOf(utf8ToBytes(text))
}
