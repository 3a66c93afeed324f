/** A GGUF header's key-value part, as whoever reads a model of it sees it. */
import type { GgufValue } from './gguf-header.ts'

export type GgufMetadata = ReadonlyMap<string, GgufValue>

/** A value for a message, whatever a stranger put in it. */
export function showValue(value: GgufValue | undefined): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value, (_, entry) => (typeof entry === 'bigint' ? String(entry) : entry))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
