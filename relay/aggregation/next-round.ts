/**
 * One round of several: its clients start from the version before it, and from its result the next start. The
 * published adapter is the whole change since the base, as in one round; the start is the same in the room's own form.
 *
 * Strategies that average factors keep the form and are exact. Those on deltas must publish at most the room's rank
 * (the manifest demands it), and the start is their result laid into that rank.
 */
import { type Adapter, type AdapterForm, withoutCores } from '../../models/adapters/adapter.ts'
import { laidInto, readContinuation } from '../../models/adapters/continuation.ts'
import { AveragedFactors } from './averaged-factors.ts'
import type { Contribution } from './contribution.ts'
import { mergedDigest } from './digest.ts'
import { FactorSum } from './factor-sum.ts'
import { type MergedUpdates, mergeModules } from './index.ts'
import { publish } from './publish.ts'
import { roundStart } from './round-start.ts'
import type { StrategyChoice } from './strategies.ts'

/** The version that a round starts from. */
export interface RoundOrigin {
  readonly digest: string
  /** Its continuation.ts file. */
  readonly bytes: Uint8Array
}

export interface NextRound {
  readonly strategy: StrategyChoice
  /** The room's own, before any round. */
  readonly initial: Adapter
  readonly form: AdapterForm
  /** Null in the first round. */
  readonly origin: RoundOrigin | null
  readonly updates: readonly Contribution[]
  readonly manifestDigest: string
}

/** Throws MergeError, FormatError `start/malformed`. */
export function mergeRound(round: NextRound): MergedUpdates & { readonly start: Adapter } {
  const { strategy, initial, form, origin, updates, manifestDigest } = round
  const from = origin ? readContinuation(origin.bytes, initial, form) : initial
  const averages = strategy.id === 'fedit' || strategy.id === 'ffa' || strategy.id === 'lora-sb'
  const { adapter, start } = averages ? averaged(round, from) : reduced(round, from)
  const digests = updates.map(({ digest }) => digest)
  return { adapter, start, digest: mergedDigest(manifestDigest, digests, adapter, origin?.digest) }
}

function averaged({ strategy, form, updates }: NextRound, from: Adapter) {
  const sum = new FactorSum(roundStart(from, form))
  for (const update of updates) sum.add(update)
  const start = sum.result()
  const { modules } = withoutCores(start)
  const adapter = publish(
    strategy,
    from.modules.values(),
    ({ name }) => new AveragedFactors(modules.get(name)!),
  )
  return { adapter, start }
}

function reduced({ strategy, form, initial, updates }: NextRound, from: Adapter) {
  const adapter = mergeModules({ strategy, initial: from, form, updates })
  return { adapter, start: laidInto(initial, adapter) }
}
