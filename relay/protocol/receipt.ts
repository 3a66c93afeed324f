/**
 * What a relay signs when it gives a receipt, and how anybody checks it: Ed25519 (RFC 8032) over the UTF-8 text
 * `oneround receipt 1`, a line feed, and the receipt's canonical JSON without its `signature`. The key stands in the
 * room's manifest as `receiptKey`. In plain JavaScript, because a page on plain HTTP has no WebCrypto.
 */
import { hashes, verify } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { canonicalJson } from './canonical.ts'
import { ProtocolError } from './errors.ts'
import type { Manifest } from './manifest.ts'
import type { Receipt } from './messages.ts'

hashes.sha512 = sha512

/** The bytes that are signed. */
export function receiptMessage({ signature: _, ...receipt }: Receipt): Uint8Array {
  return utf8ToBytes(`oneround receipt 1\n${canonicalJson(receipt)}`)
}

/**
 * Throws ProtocolError `receipt/signature` unless the receipt is signed by the manifest's key. A room without a key
 * gives receipts without a signature.
 */
export function checkReceipt(receipt: Receipt, { receiptKey }: Manifest): void {
  if (receiptKey === undefined && receipt.signature === undefined) return
  if (receiptKey === undefined || receipt.signature === undefined)
    throw new ProtocolError('receipt/signature')
  if (!isSigned(receipt.signature, receiptMessage(receipt), receiptKey)) {
    throw new ProtocolError('receipt/signature')
  }
}

function isSigned(signatureHex: string, message: Uint8Array, keyHex: string): boolean {
  try {
    return verify(hexToBytes(signatureHex), message, hexToBytes(keyHex))
  } catch {
    return false // not a point of the curve
  }
}
