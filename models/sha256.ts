/**
 * SHA-256 that also works where WebCrypto does not: a page on plain HTTP has no `crypto.subtle`.
 */
import { sha256 as noble } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/** 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array => noble(bytes)

/** 64 lower-case hexadecimal digits. */
export const sha256Hex = (bytes: Uint8Array): string => bytesToHex(noble(bytes))

/** What `sha256Hex` gives, as a schema would say it. */
export const SHA256_HEX = /^[0-9a-f]{64}$/
