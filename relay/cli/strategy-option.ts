/** `--strategy` and what belongs to it, shared by `host` and `merge`. */
import type { AdapterForm } from '../../models/adapters/adapter.ts'
import { DEFAULT_TAU, type StrategyChoice, type StrategyId } from '../aggregation/index.ts'
import { MAX_PUBLISHED_RANK, type Strategy } from '../protocol/index.ts'
import type { Arguments, OptionSpecs } from './args.ts'
import { UsageError } from './errors.ts'

/** The TIES paper's; DARE's authors drop up to 99. */
const DEFAULT_DENSITY = 0.2
/** Withstands a tenth of the clients at either end. */
const DEFAULT_TRIM = 0.1

/** What `host` may ask for whatever its clients train; the others go with a form of the same name. */
const ROOM_STRATEGIES = [
  'florist',
  'fedit',
  'stack',
  'svd',
  'task',
  'ties',
  'dare',
  'median',
  'trimmed-mean',
  'rfa',
] as const satisfies readonly Strategy['id'][]

/** `host` has a `--rank` of its own, that of the adapters trained, and `--seed` says nothing there. */
export interface OptionNames {
  readonly rank: string
  readonly seed: string
}

export const strategyOptions = ({ rank, seed }: OptionNames): OptionSpecs => ({
  strategy: {
    type: 'string',
    value: 'S',
    help: `how to merge: ${ROOM_STRATEGIES.join(', ')}; default florist`,
  },
  [rank]: { type: 'string', value: 'R', help: 'any strategy: publish no higher rank; svd needs it' },
  tau: {
    type: 'string',
    value: 'SHARE',
    help: `any strategy: share of the energy to keep; florist by default ${DEFAULT_TAU}, others all of it`,
  },
  lambda: { type: 'string', value: 'X', help: 'any strategy: scale of what is published, default 1' },
  clip: {
    type: 'string',
    value: 'NORM',
    help: 'any strategy: scale longer deltas down to this norm first, or to the `median` of the norms',
  },
  density: {
    type: 'string',
    value: 'SHARE',
    help: `ties, dare: share of each delta's entries to keep, default ${DEFAULT_DENSITY}`,
  },
  scope: {
    type: 'string',
    value: 'S',
    help: 'ties: entries compete in the whole model (default) or each module',
  },
  [seed]: { type: 'string', value: 'TEXT', help: 'dare: seed of the dropped entries, default 0' },
  trim: {
    type: 'string',
    value: 'SHARE',
    help: `trimmed-mean: share of the clients to leave out at either end, default ${DEFAULT_TRIM}`,
  },
})

/** For the help of a command. */
export const STRATEGIES_IN_WORDS = `florist, svd, stack and task publish the weighted mean of the deltas, fedit averages factors, ties and dare
keep part of each delta; median, trimmed-mean and rfa withstand a minority of bad ones.`

/** Options that only some strategies take. */
const OWNERS: Readonly<Record<'density' | 'scope' | 'seed' | 'trim', readonly StrategyId[]>> = {
  density: ['ties', 'dare'],
  scope: ['ties'],
  seed: ['dare'],
  trim: ['trimmed-mean'],
}

/** For `host`: a form of its own is merged by the strategy of its name unless told otherwise. Throws UsageError. */
export const roomStrategyOf = (args: Arguments, names: OptionNames, form: AdapterForm): Strategy => {
  const own = form === 'lora' ? 'florist' : form
  const possible = form === 'lora' ? ROOM_STRATEGIES : [...ROOM_STRATEGIES, form]
  return read(args, names, args.choice('strategy', possible) ?? own) as Strategy
}

/** For `merge`. Throws UsageError. */
export const strategyOf = (args: Arguments, names: OptionNames): StrategyChoice =>
  read(args, names, args.choice('strategy', [...ROOM_STRATEGIES, 'ffa', 'lora-sb']) ?? 'florist')

function read(args: Arguments, names: OptionNames, id: StrategyId): StrategyChoice {
  for (const [option, owners] of Object.entries(OWNERS)) {
    const name = option === 'seed' ? names.seed : option
    if (args.has(name) && !owners.includes(id)) {
      throw new UsageError(`--${name} belongs to --strategy ${owners.join(' or ')}.`)
    }
  }
  const rank = args.integer(names.rank, { least: 1, most: MAX_PUBLISHED_RANK })
  const tau = args.number('tau', { least: 1e-6, most: 1 })
  const lambda = args.number('lambda', { least: 1e-6, most: 100 })
  const clip =
    args.text('clip') === 'median' ? ('median' as const) : args.number('clip', { least: 1e-9, most: 1e9 })
  const density = args.number('density', { least: 1e-6, most: 1 }) ?? DEFAULT_DENSITY
  // Only what was asked for: a manifest without it stays what it was.
  const common = {
    ...(rank !== undefined && { rank }),
    ...(tau !== undefined && { tau }),
    ...(lambda !== undefined && { lambda }),
    ...(clip !== undefined && { clip }),
  }
  switch (id) {
    case 'florist':
      return { ...common, id, tau: tau ?? DEFAULT_TAU }
    case 'svd':
      if (rank === undefined)
        throw new UsageError(`--strategy svd needs --${names.rank}: the rank to publish.`)
      return { ...common, id, rank }
    case 'ties': {
      const scope = args.choice('scope', ['model', 'module'] as const)
      return { ...common, id, density, ...(scope && { scope }) }
    }
    case 'dare':
      return { ...common, id, density, seed: args.text(names.seed) ?? '0' }
    case 'trimmed-mean':
      return { ...common, id, trim: args.number('trim', { least: 0, most: 0.499 }) ?? DEFAULT_TRIM }
    default:
      return { ...common, id }
  }
}
