/**
 * The arithmetic that checking a room's folder takes (store/verify-room.ts): merging anew, and for a private room,
 * whose noise is gone, whether the file is the one named by its digest and holds noise of the size promised.
 */
import { startOf } from '../../models/adapters/initial.ts'
import { readPeftAdapter } from '../../models/formats/peft.ts'
import { gaussianSigma, mergedDigest } from '../aggregation/index.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import { trainedNumbers } from '../protocol/trained-numbers.ts'
import type { RoomVerifier } from '../store/verify-room.ts'
import { JobThread } from './job-thread.ts'
import { adapterShape } from './jobs.ts'
import { VersionMerger } from './version-merger.ts'

/** How far a sum of squares of normals may be from what is expected, in standard errors. */
const STANDARD_ERRORS = 8

/** `start`: the bytes of the room's start file, if it has one. */
export function roomVerifier(start: Uint8Array | null): RoomVerifier {
  const merger = new VersionMerger(() => new JobThread())
  return {
    merge: (manifest, updates, origin) => merger.merge({ manifest, updates, start, origin }),
    async checkRelease(manifest, updates, files) {
      const { privacy, adapter, strategy } = manifest
      if (!privacy) throw new ProtocolError('manifest/malformed')
      const published = readPeftAdapter(files['adapter_config.json']!, files['adapter_model.safetensors']!)
      const digests = updates.map(({ digest }) => digest)
      // The digest is over the manifest's order.
      const modules = new Map(
        adapter.modules.flatMap(({ name }) => {
          const factors = published.modules.get(name)
          return factors ? [[name, factors] as const] : []
        }),
      )
      const digest = mergedDigest(manifestDigest(manifest), digests, { modules }) as Digest
      // Compressed, the noise is no longer what was drawn.
      if (strategy.rank !== undefined || strategy.tau !== undefined) return { digest, isNoisy: null }
      const merged = await merger.merge({ manifest, updates, start })
      const clean = readPeftAdapter(
        merged.files['adapter_config.json']!,
        merged.files['adapter_model.safetensors']!,
      )
      let squares = 0
      for (const [name, { b }] of modules) {
        const mean = clean.modules.get(name)!.b
        for (let i = 0; i < b.length; i++) squares += (b[i]! - mean[i]!) ** 2
      }
      const deviation =
        (gaussianSigma(privacy) * privacy.clip * (strategy.lambda ?? 1)) / new Set(digests).size
      const surprise = Math.abs(chiSquaredAsNormal(squares / deviation ** 2, trainedNumbers(adapter)))
      // B R of a core: as long as R only where B's columns are orthonormal.
      const isComparable = adapter.form === 'ffa' || hasOrthonormalColumns(manifest, start)
      return { digest, isNoisy: isComparable ? surprise < STANDARD_ERRORS : null }
    },
  }
}

/** Wilson & Hilferty 1931: the cube root of a chi-squared share is nearly normal. */
function chiSquaredAsNormal(sum: number, degrees: number): number {
  const variance = 2 / (9 * degrees)
  return (Math.cbrt(sum / degrees) - (1 - variance)) / Math.sqrt(variance)
}

function hasOrthonormalColumns(
  manifest: Parameters<RoomVerifier['merge']>[0],
  start: Uint8Array | null,
): boolean {
  const { modules } = startOf(adapterShape(manifest), manifest.adapter.seed, start)
  for (const { b, rank, outFeatures } of modules.values()) {
    for (let i = 0; i < rank; i++) {
      for (let j = 0; j <= i; j++) {
        let product = 0
        for (let o = 0; o < outFeatures; o++) product += b[o * rank + i]! * b[o * rank + j]!
        if (Math.abs(product - (i === j ? 1 : 0)) > 1e-3) return false
      }
    }
  }
  return true
}
