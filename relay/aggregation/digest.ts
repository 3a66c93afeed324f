/**
 * The name of a merged version: SHA-256 over what it was made from and what came out. No time and no version
 * number, so two relays (or one relay and a sceptic) that merge the same updates arrive at the same name.
 *
 *   utf8 "oneround-merged 1\n" + manifest digest + "\n", where a round started from a version "after " + its digest +
 *   "\n", then each update's digest + "\n" in ascending order,
 *   then by module, in the manifest's order: utf8 `NAME RANK ALPHA OUT IN\n`, A and B as little-endian float32.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Adapter } from '../../models/adapters/adapter.ts'

export function mergedDigest(
  manifestDigest: string,
  updateDigests: readonly string[],
  adapter: Adapter,
  after?: string | undefined,
): string {
  const hash = createHash('sha256')
  const text = (line: string) => hash.update(`${line}\n`)
  text('oneround-merged 1')
  text(manifestDigest)
  if (after !== undefined) text(`after ${after}`)
  for (const digest of [...new Set(updateDigests)].sort()) text(digest)
  updateAdapter(hash, adapter)
  return hash.digest('hex')
}

/** The name of a finished adapter: SHA-256 of "oneround-adapter 1\n" and its modules as above. */
export function adapterDigest(adapter: Adapter): string {
  const hash = createHash('sha256')
  hash.update('oneround-adapter 1\n')
  updateAdapter(hash, adapter)
  return hash.digest('hex')
}

function updateAdapter(hash: Hash, adapter: Adapter) {
  for (const { name, rank, alpha, outFeatures, inFeatures, a, b } of adapter.modules.values()) {
    hash.update(`${name} ${rank} ${alpha} ${outFeatures} ${inFeatures}\n`)
    hash.update(littleEndian(a))
    hash.update(littleEndian(b))
  }
}

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function littleEndian(values: Float32Array): Uint8Array {
  if (HOST_IS_LITTLE_ENDIAN) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const bytes = new Uint8Array(values.byteLength)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true)
  return bytes
}
