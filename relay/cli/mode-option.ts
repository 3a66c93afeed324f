/** `--mode` of `host` and what belongs to it: how a room's round runs in time. */
import { MAX_CONTRIBUTIONS, MAX_ROUNDS, type Mode, type Strategy } from '../protocol/index.ts'
import type { Arguments, OptionSpecs } from './args.ts'
import { UsageError } from './errors.ts'

const DEFAULT_ROUNDS = 3
const DEFAULT_QUORUM = 3
/** Ten minutes: the slowest of a class. */
const DEFAULT_DEADLINE_SECONDS = 600

export const MODE_OPTIONS: OptionSpecs = {
  mode: {
    type: 'string',
    value: 'M',
    help: 'one-shot (default: each sends once, whenever), rounds (several, each from the merge before), sequential (each from the newest)',
  },
  rounds: { type: 'string', value: 'T', help: `with --mode rounds: how many, default ${DEFAULT_ROUNDS}` },
  quorum: {
    type: 'string',
    value: 'K',
    help: `with --mode rounds: updates that complete a round, default ${DEFAULT_QUORUM}`,
  },
  deadline: {
    type: 'string',
    value: 'SECONDS',
    help: `with --mode rounds: after so long fewer are enough, default ${DEFAULT_DEADLINE_SECONDS}`,
  },
  late: {
    type: 'string',
    value: 'next|refuse',
    help: 'with --mode rounds: an update for a round that is over counts in the next (default), or is refused',
  },
}

/** Undefined for one-shot: such a manifest says nothing of it. Throws UsageError. */
export function modeOf(args: Arguments): Mode | undefined {
  const kind = args.choice('mode', ['one-shot', 'rounds', 'sequential'] as const) ?? 'one-shot'
  if (kind !== 'rounds') {
    const option = ['rounds', 'quorum', 'deadline', 'late'].find((name) => args.has(name))
    if (option) throw new UsageError(`--${option} belongs to --mode rounds.`)
  }
  if (kind === 'one-shot') return undefined
  for (const option of ['publish-every', 'approve', 'dp', 'lambda', 'clip']) {
    if (args.has(option)) throw new UsageError(`--${option} does not go with --mode ${kind}.`)
  }
  if (kind === 'sequential') return { kind }
  const rounds = args.integer('rounds', { least: 1, most: MAX_ROUNDS }) ?? DEFAULT_ROUNDS
  const quorum = args.integer('quorum', { least: 1, most: MAX_CONTRIBUTIONS }) ?? DEFAULT_QUORUM
  if (rounds * quorum > MAX_CONTRIBUTIONS) {
    throw new UsageError(
      `${rounds} rounds of ${quorum} are more than the ${MAX_CONTRIBUTIONS} contributions of a room.`,
    )
  }
  return {
    kind,
    rounds,
    quorum,
    deadlineSeconds: args.integer('deadline', { least: 1, most: 604_800 }) ?? DEFAULT_DEADLINE_SECONDS,
    late: args.choice('late', ['next', 'refuse'] as const) ?? 'next',
  }
}

/** What is published must fit the adapters' rank, to be trained on. Throws UsageError. */
export function strategyForRounds(strategy: Strategy, adapterRank: number): Strategy {
  switch (strategy.id) {
    case 'fedit':
    case 'ffa':
    case 'lora-sb':
      if (strategy.rank === undefined && strategy.tau === undefined) return strategy
      throw new UsageError(
        `In rounds ${strategy.id} is published as it is, without --publish-rank and --tau.`,
      )
    case 'florist':
    case 'svd':
      return { ...strategy, rank: Math.min(strategy.rank ?? adapterRank, adapterRank) }
    default:
      throw new UsageError(
        `--strategy ${strategy.id} does not go with rounds: take fedit, florist or svd, or the form's own.`,
      )
  }
}
