/** `--strategy` and `--tau`, shared by `host` and `merge`. */
import { DEFAULT_TAU, type StrategyChoice } from '../aggregation/index.ts'
import type { Arguments } from './args.ts'
import { UsageError } from './errors.ts'

export function strategyOf(args: Arguments): StrategyChoice {
  const id = args.choice('strategy', ['florist', 'fedit'] as const) ?? 'florist'
  const tau = args.number('tau', { least: 1e-6, most: 1 })
  if (id === 'florist') return { id, tau: tau ?? DEFAULT_TAU }
  if (tau !== undefined) throw new UsageError('--tau belongs to --strategy florist.')
  return { id }
}
