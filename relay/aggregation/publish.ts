/**
 * From the strategy's result to the adapter that is published: exactly, at whatever rank that takes, unless the
 * choice limits rank or energy; then times lambda. Module by module, so that no more than one is held in doubles.
 */
import type { Adapter, LoraFactors } from '../../models/adapters/adapter.ts'
import { scaledFactors } from '../../models/adapters/scaled.ts'
import { MergeError } from './errors.ts'
import type { ModuleMerge, StrategyChoice } from './strategies.ts'

export function publish(choice: StrategyChoice, modules: Iterable<LoraFactors>, merge: ModuleMerge): Adapter {
  const { rank, tau, lambda = 1 } = choice
  if (!(lambda > 0 && Number.isFinite(lambda))) {
    throw new MergeError('merge/strategy', `lambda scales what is published and is above 0, not ${lambda}.`)
  }
  const limited = rank !== undefined || tau !== undefined
  const published = new Map<string, LoraFactors>()
  for (const module of modules) {
    const merged = merge(module)
    published.set(
      module.name,
      scaledFactors(limited ? merged.reduced({ rank, tau }) : merged.exact(), lambda),
    )
  }
  return { modules: published }
}
