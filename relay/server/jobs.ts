/**
 * The relay's two pieces of arithmetic, pure over bytes: is this update acceptable, and what do these updates merge
 * to. They run in a thread (job-thread.ts), because they read a stranger's file and take seconds for large models.
 */
import { createHash } from 'node:crypto'
import type { AdapterShape } from '../../models/adapters/adapter.ts'
import { startOf } from '../../models/adapters/initial.ts'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import { writePeftAdapter } from '../../models/formats/peft.ts'
import { mergeUpdates } from '../aggregation/index.ts'
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

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex') as Digest

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

/**
 * `start`: the bytes of the start file, where the manifest names one. Throws ProtocolError `store/damaged` if its
 * bytes or an update's are not those that were accepted.
 */
export function mergeVersion(
  manifest: Manifest,
  updates: readonly { digest: Digest; bytes: Uint8Array }[],
  start: Uint8Array | null = null,
): MergedVersion {
  const shape = adapterShape(manifest)
  if (start && sha256(start) !== manifest.adapter.start?.sha256) throw new ProtocolError('store/damaged')
  const ofManifest = manifestDigest(manifest)
  const merged = mergeUpdates({
    strategy: manifest.strategy,
    initial: startOf(shape, manifest.adapter.seed, start),
    form: shape.form,
    manifestDigest: ofManifest,
    updates: updates.map(({ digest, bytes }) => {
      if (sha256(bytes) !== digest) throw new ProtocolError('store/damaged')
      const { examples, change } = decodeUpdate(bytes, { shape, manifestDigest: ofManifest })
      return { digest, examples, change }
    }),
  })
  return {
    digest: merged.digest as Digest,
    files: { ...writePeftAdapter(merged.adapter, manifest.base.id, { base: manifest.base.digest }) },
  }
}
