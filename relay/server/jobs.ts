/**
 * Is this update acceptable: arithmetic over bytes. It runs in a thread (job-thread.ts), as merging does
 * (version-merger.ts), because it reads a stranger's file and takes seconds for large models.
 */
import { createHash } from 'node:crypto'
import type { AdapterShape } from '../../models/adapters/adapter.ts'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { MAX_ABS_CHANGE } from '../protocol/limits.ts'
import { type Manifest, manifestDigest } from '../protocol/manifest.ts'

export const adapterShape = ({ adapter }: Manifest): AdapterShape => ({
  form: adapter.form,
  rank: adapter.rank,
  alpha: adapter.alpha,
  modules: adapter.modules,
})

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex') as Digest

/**
 * Reads an update as the room's manifest demands: schema, names, shapes, number types, finite values, manifest
 * digest, example count, size of the change. Throws UpdateError or ProtocolError with an `update/…` code.
 *
 * `expectedDigest` comes first, so that bytes damaged on the way are reported as that.
 */
export function inspectUpdate(
  manifest: Manifest,
  expectedDigest: Digest,
  bytes: Uint8Array,
): { digest: Digest; examples: number } {
  const digest = sha256(bytes)
  if (digest !== expectedDigest) throw new ProtocolError('upload/digest')
  const { examples, encoding, change } = decodeUpdate(bytes, {
    shape: adapterShape(manifest),
    manifestDigest: manifestDigest(manifest),
  })
  if (encoding !== manifest.update.encoding) throw new ProtocolError('update/wrong-dtype')
  if (examples > manifest.limits.examples) throw new ProtocolError('update/examples')
  let sumOfSquares = 0
  let largest = 0
  for (const values of change.values()) {
    for (const x of values) {
      sumOfSquares += x * x
      const size = Math.abs(x)
      if (size > largest) largest = size
    }
  }
  if (largest > MAX_ABS_CHANGE) throw new ProtocolError('update/range')
  if (Math.sqrt(sumOfSquares) > manifest.limits.changeNorm) throw new ProtocolError('update/norm')
  return { digest, examples }
}

export interface MergedVersion {
  readonly digest: Digest
  /** The PEFT folder's files by name. */
  readonly files: Record<string, Uint8Array>
}
