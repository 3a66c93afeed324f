/**
 * Which examples are held out of training, to measure on: a share chosen by a hash of the example's content,
 * so that the same data split the same way in every tab and every session, and equal examples never stand on
 * both sides.
 */
import { sha256 } from '../sha256.ts'
import type { TextExample } from '../text/windows.ts'

export interface Split<E> {
  readonly train: E[]
  readonly heldOut: E[]
}

/** 48 bits of SHA-256 over the seed and an example's content. */
function contentHash(content: readonly Uint8Array[], seed: string): number {
  const prefix = new TextEncoder().encode(`${seed}\n`)
  const bytes = new Uint8Array(content.reduce((sum, part) => sum + part.length, prefix.length))
  bytes.set(prefix)
  let offset = prefix.length
  for (const part of content) {
    bytes.set(part, offset)
    offset += part.length
  }
  const digest = sha256(bytes)
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0) * 65_536 + digest[4] * 256 + digest[5]
}

/**
 * Holds out the share `fraction` with the smallest hashes: of two or more examples at least one, and never
 * all. Both sides keep the order given. A single example is trained on.
 *
 * @param contentOf what makes an example equal to another
 */
export function splitByContent<E>(
  examples: readonly E[],
  contentOf: (example: E) => readonly Uint8Array[],
  fraction = 0.1,
  seed = '',
): Split<E> {
  if (!(fraction >= 0 && fraction <= 1)) throw new RangeError(`${fraction} is no share of the examples.`)
  if (examples.length < 2) return { train: [...examples], heldOut: [] }
  const hashes = examples.map((example) => contentHash(contentOf(example), seed))
  const distinct = [...new Set(hashes)].sort((x, y) => x - y)
  if (distinct.length === 1) {
    // Copies of one example: no split keeps them together, and something must be measured on.
    return { train: examples.slice(1), heldOut: examples.slice(0, 1) }
  }
  const copies = new Map<number, number>()
  for (const hash of hashes) copies.set(hash, (copies.get(hash) ?? 0) + 1)
  const wanted = Math.max(1, Math.round(examples.length * fraction))
  const chosen = new Set<number>()
  let heldOut = 0
  for (const hash of distinct.slice(0, -1)) {
    if (heldOut >= wanted) break
    chosen.add(hash)
    heldOut += copies.get(hash)!
  }
  return {
    train: examples.filter((_, index) => !chosen.has(hashes[index])),
    heldOut: examples.filter((_, index) => chosen.has(hashes[index])),
  }
}

/** Windows of text: an example is its ids and what counts of them. */
export const splitHeldOut = (
  examples: readonly TextExample[],
  fraction?: number,
  seed?: string,
): Split<TextExample> =>
  splitByContent(
    examples,
    ({ ids, counts }) => [new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength), counts],
    fraction,
    seed,
  )
