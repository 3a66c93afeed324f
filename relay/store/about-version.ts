/** version.json, as it lies beside a version's files: from what, and when, it was merged. */
import type { Digest } from '../protocol/canonical.ts'
import type { PublishedVersion } from './ledger-types.ts'

export function aboutVersion(
  {
    version,
    digest,
    updates,
    createdAt,
  }: Pick<PublishedVersion, 'version' | 'digest' | 'updates' | 'createdAt'>,
  manifestDigest: Digest,
): string {
  const contributions = updates.length
  const about = { version, digest, contributions, manifestDigest, updateDigests: updates, createdAt }
  return `${JSON.stringify(about, null, 2)}\n`
}
