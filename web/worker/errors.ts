/**
 * Lets an error keep its `code` across Comlink, which by itself carries name, message and stack. Installed in
 * the worker; the page's side of Comlink copies every field it receives onto the error it throws.
 */
import { transferHandlers } from 'comlink'

interface Thrown {
  readonly value: unknown
}
type Serialized = { isError: true; value: Record<string, unknown> } | { isError: false; value: unknown }

export function sendErrorCodes(): void {
  const original = transferHandlers.get('throw')
  if (!original) throw new Error('Comlink has no handler for thrown values; its version has changed.')
  transferHandlers.set('throw', {
    canHandle: original.canHandle,
    deserialize: original.deserialize,
    serialize(thrown) {
      const [serialized, transfers] = original.serialize(thrown) as [Serialized, Transferable[]]
      const { value } = thrown as Thrown
      if (serialized.isError && value instanceof Error && 'code' in value) serialized.value.code = value.code
      return [serialized, transfers]
    },
  })
}
