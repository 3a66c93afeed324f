/** A private room's one publication as a merged adapter: the noisy mean, in the form of any other merge. */
import { withoutCores } from '../../models/adapters/adapter.ts'
import { AveragedFactors } from './averaged-factors.ts'
import { mergedDigest } from './digest.ts'
import type { MergedUpdates } from './index.ts'
import { noisyMean, type PrivateRound } from './noisy-mean.ts'
import { publish } from './publish.ts'
import type { StrategyChoice } from './strategies.ts'

export interface PrivateRelease extends PrivateRound {
  /** `ffa` or `lora-sb`: what it asks of the result (rank, tau, lambda) looks at the noisy mean alone. */
  readonly strategy: StrategyChoice
  readonly manifestDigest: string
  readonly digests: readonly string[]
}

/** Throws MergeError. */
export function privateRelease(release: PrivateRelease): MergedUpdates {
  const { modules } = withoutCores(noisyMean(release))
  const adapter = publish(
    release.strategy,
    release.initial.modules.values(),
    ({ name }) => new AveragedFactors(modules.get(name)!),
  )
  return { adapter, digest: mergedDigest(release.manifestDigest, release.digests, adapter) }
}
