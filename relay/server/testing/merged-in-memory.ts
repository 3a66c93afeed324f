/** What updates merge to when all are in memory at once: the reference for every other way to carry a merge out. */
import { startOf } from '../../../models/adapters/initial.ts'
import { decodeUpdate } from '../../../models/adapters/update-codec.ts'
import { writePeftAdapter } from '../../../models/formats/peft.ts'
import { mergeUpdates } from '../../aggregation/index.ts'
import { type Digest, digestOf } from '../../protocol/canonical.ts'
import { type Manifest, manifestDigest } from '../../protocol/manifest.ts'
import { adapterShape, type MergedVersion } from '../jobs.ts'

export function mergedInMemory(manifest: Manifest, updates: readonly Uint8Array[]): MergedVersion {
  const shape = adapterShape(manifest)
  const { adapter, digest } = mergeUpdates({
    strategy: manifest.strategy,
    initial: startOf(shape, manifest.adapter.seed, null),
    form: shape.form,
    manifestDigest: manifestDigest(manifest),
    updates: updates.map((bytes) => ({ digest: digestOf(bytes), ...decodeUpdate(bytes, { shape }) })),
  })
  const files = { ...writePeftAdapter(adapter, manifest.base.id, { base: manifest.base.digest }) }
  return { digest: digest as Digest, files }
}
