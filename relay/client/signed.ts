/**
 * Checks a receipt's signature. The arithmetic of the curve is loaded only now: the page's first view has no use for it.
 */
import type { Manifest } from '../protocol/manifest.ts'
import type { Receipt } from '../protocol/messages.ts'

/** Throws ProtocolError `receipt/signature`. */
export async function checkSigned(receipt: Receipt, manifest: Manifest): Promise<void> {
  const { checkReceipt } = await import('../protocol/receipt.ts')
  checkReceipt(receipt, manifest)
}
