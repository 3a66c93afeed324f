/**
 * Is this update acceptable: arithmetic over bytes. It runs in a thread (job-thread.ts), as merging does
 * (version-merger.ts), because it reads a stranger's file and takes seconds for large models.
 */
import { createHash } from 'node:crypto'
import type { AdapterShape } from '../../models/adapters/adapter.ts'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Preview } from '../protocol/host.ts'
import { MAX_ABS_CHANGE } from '../protocol/limits.ts'
import { isStepped, type Manifest, manifestDigest } from '../protocol/manifest.ts'

export const adapterShape = ({ adapter }: Manifest): AdapterShape => ({
  form: adapter.form,
  rank: adapter.rank,
  alpha: adapter.alpha,
  modules: adapter.modules,
})

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex') as Digest

export interface InspectedUpdate {
  readonly digest: Digest
  readonly examples: number
  /** L2 norm of the whole change. */
  readonly norm: number
  /** Digest of the version it was trained from; null for the room's initial adapter. */
  readonly start: string | null
}

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
): InspectedUpdate {
  const digest = sha256(bytes)
  if (digest !== expectedDigest) throw new ProtocolError('upload/digest')
  const { examples, encoding, change, start } = decodeUpdate(bytes, {
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
  const norm = Math.sqrt(sumOfSquares)
  if (norm > manifest.limits.changeNorm) throw new ProtocolError('update/norm')
  // Where every update starts from the base, one that names a version was made for something else.
  if (start !== null && !isStepped(manifest.mode)) throw new ProtocolError('update/unknown-start')
  return { digest, examples, norm, start }
}

export interface MergedVersion {
  readonly digest: Digest
  /** The PEFT folder's files by name. */
  readonly files: Record<string, Uint8Array>
}

/** How a contribution stands beside `others`, which are read one at a time. Throws ProtocolError `store/damaged`. */
export function compareUpdate(
  manifest: Manifest,
  candidate: Uint8Array,
  others: Iterable<Uint8Array>,
): Pick<Preview, 'norm' | 'medianNorm' | 'cosine'> {
  const expected = { shape: adapterShape(manifest), manifestDigest: manifestDigest(manifest) }
  const { change } = decodeUpdate(candidate, expected)
  const sums = new Map([...change].map(([tensor, { length }]) => [tensor, new Float64Array(length)]))
  const norms: number[] = []
  for (const bytes of others) {
    let squares = 0
    for (const [tensor, values] of decodeUpdate(bytes, expected).change) {
      const sum = sums.get(tensor)!
      for (let i = 0; i < values.length; i++) {
        sum[i]! += values[i]!
        squares += values[i]! * values[i]!
      }
    }
    norms.push(Math.sqrt(squares))
  }
  let own = 0
  let ofSum = 0
  let product = 0
  for (const [tensor, values] of change) {
    const sum = sums.get(tensor)!
    for (let i = 0; i < values.length; i++) {
      own += values[i]! * values[i]!
      ofSum += sum[i]! * sum[i]!
      product += values[i]! * sum[i]!
    }
  }
  const scale = Math.sqrt(own) * Math.sqrt(ofSum)
  norms.sort((a, b) => a - b)
  const middle = norms.length >> 1
  return {
    norm: Math.sqrt(own),
    medianNorm:
      norms.length === 0
        ? null
        : norms.length % 2
          ? norms[middle]!
          : (norms[middle - 1]! + norms[middle]!) / 2,
    cosine: scale > 0 ? Math.max(-1, Math.min(1, product / scale)) : null,
  }
}
