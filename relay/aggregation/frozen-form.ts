/**
 * Rooms whose clients train one factor between fixed ones (FFA's B, LoRA-SB's R): the delta is linear in what they
 * send, so a rule on these numbers is a rule on deltas in other coordinates, and its result has the clients' rank.
 *
 * K clients: K times the trained numbers a module, which are the only ones in memory.
 */
import { type AdapterModule, type LoraFactors, withoutCores } from '../../models/adapters/adapter.ts'
import { AveragedFactors } from './averaged-factors.ts'
import type { Contribution } from './contribution.ts'
import type { MergedDelta } from './merged-delta.ts'
import { type RoundStart, roundStart, withTrained } from './round-start.ts'

/** `rule` sees the clients' changes of one entry in the order of `updates`, and may sort them. */
export function mergeTrainedEntries(
  start: RoundStart,
  updates: readonly Contribution[],
  rule: (changes: Float64Array) => number,
): (module: AdapterModule) => MergedDelta {
  const changes = new Float64Array(updates.length)
  return mergeTrained(start, (tensor, values) => {
    const all = updates.map(({ change }) => change.get(tensor)!)
    return values.map((value, i) => {
      for (let k = 0; k < all.length; k++) changes[k] = all[k]![i]!
      return value + rule(changes)
    })
  })
}

/** One module at a time; a core is folded into B. */
export function mergeTrained(
  { adapter, form }: RoundStart,
  merge: (tensor: string, start: Float32Array) => Float32Array,
): (module: AdapterModule) => MergedDelta {
  return ({ name }) => {
    const alone = roundStart({ modules: new Map([[name, adapter.modules.get(name)!]]) }, form)
    const merged = withoutCores(withTrained(alone, merge))
    return new AveragedFactors(merged.modules.get(name) as LoraFactors)
  }
}
