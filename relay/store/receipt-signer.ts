/**
 * Signs receipts with the relay's Ed25519 key (RFC 8032), which never leaves the data folder. The same receipt has
 * the same signature each time, so it need not be kept.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import type { Manifest } from '../protocol/manifest.ts'
import type { Receipt } from '../protocol/messages.ts'
import { receiptMessage } from '../protocol/receipt.ts'

/** DER of a PKCS #8 Ed25519 private key up to its 32 bytes (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

export class ReceiptSigner {
  /** 64 hex digits. */
  readonly publicKey: string
  readonly #key: KeyObject

  /** @param seed 32 random bytes */
  constructor(seed: Uint8Array) {
    this.#key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
    const { x } = createPublicKey(this.#key).export({ format: 'jwk' })
    this.publicKey = Buffer.from(x!, 'base64url').toString('hex')
  }

  /** Unsigned where the room's manifest names no key, or the key of another relay. */
  sign(receipt: Receipt, { receiptKey }: Manifest): Receipt {
    if (receiptKey !== this.publicKey) return receipt
    return { ...receipt, signature: sign(null, receiptMessage(receipt), this.#key).toString('hex') }
  }
}
