/** `--dp` and `--dp-clip` of `host`: a room whose one publication is differentially private. */
import type { AdapterForm } from '../../models/adapters/adapter.ts'
import type { Privacy } from '../protocol/index.ts'
import { type Arguments, type OptionSpecs, parseNumber } from './args.ts'
import { UsageError } from './errors.ts'

/** About what an update of the default recipe measures; the console's overview names the norm of each. */
const DEFAULT_CLIP = 1

export const PRIVATE_OPTIONS: OptionSpecs = {
  dp: {
    type: 'string',
    value: 'EPS,DELTA',
    help: 'private room: one publication, at close, with noise; trains lora-sb, or ffa with --form ffa',
  },
  'dp-clip': {
    type: 'string',
    value: 'NORM',
    help: `with --dp: longer changes are scaled down to this norm, default ${DEFAULT_CLIP}`,
  },
}

/** What does not go with a private room, and why. */
const EXCLUDED = {
  strategy: 'a private room is merged by the strategy of its form',
  clip: 'a private room clips by --dp-clip alone',
  'publish-every': 'a private room publishes once, when it closes',
  approve: 'who counts in a private room must not depend on the updates',
} as const

/** Throws UsageError. */
export function privacyOf(args: Arguments): Privacy | undefined {
  const text = args.text('dp')
  if (text === undefined) {
    if (args.has('dp-clip')) throw new UsageError('--dp-clip belongs to --dp.')
    return undefined
  }
  for (const [option, reason] of Object.entries(EXCLUDED)) {
    if (args.has(option)) throw new UsageError(`--${option} does not go with --dp: ${reason}.`)
  }
  const [epsilon, delta, ...more] = text.split(',').map(parseNumber)
  const inRange = (value: number | undefined, least: number, most: number) =>
    value !== undefined && value >= least && value <= most
  if (!inRange(epsilon, 1e-3, 100) || !inRange(delta, 1e-12, 0.5) || more.length > 0) {
    throw new UsageError(
      `--dp takes an epsilon from 0.001 to 100 and a delta from 1e-12 to 0.5, such as 8,1e-5, not ${JSON.stringify(text)}.`,
    )
  }
  return {
    epsilon: epsilon!,
    delta: delta!,
    clip: args.number('dp-clip', { least: 1e-6, most: 1e6 }) ?? DEFAULT_CLIP,
  }
}

/** The form a private room trains. Throws UsageError. */
export function privateForm(args: Arguments, form: AdapterForm): AdapterForm {
  if (!args.has('form')) return 'lora-sb'
  if (form === 'lora') {
    throw new UsageError('--form lora does not go with --dp: a private room trains ffa or lora-sb.')
  }
  return form
}
