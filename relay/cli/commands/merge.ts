/** `merge`: one adapter out of several, by the relay's own strategies, without a relay. */
import { mergeAdapters } from '../../aggregation/index.ts'
import { type Arguments, parseNumber } from '../args.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../errors.ts'
import { baseModelName, readAdapterFolder, writeAdapterFolder } from '../files.ts'
import { bytes } from '../format.ts'
import { STRATEGIES_IN_WORDS, strategyOf, strategyOptions } from '../strategy-option.ts'

const NAMES = { rank: 'rank', seed: 'seed' }

export const command: Command = {
  usage: '[--strategy S] --out DIR [--weights n1,n2,…] ADAPTER_DIR…',
  about: `Merges PEFT adapters of one base model into one.\n${STRATEGIES_IN_WORDS}\nffa averages B of adapters that share A.`,
  options: {
    ...strategyOptions(NAMES),
    out: { type: 'string', value: 'DIR', help: 'folder to write the merged adapter to' },
    weights: {
      type: 'string',
      value: 'n1,n2,…',
      help: 'one for each adapter, e.g. example counts; default: equal',
    },
  },
  async run(args, console) {
    const out = args.needed('out', 'name the folder for the merged adapter')
    const folders = args.positionals
    if (folders.length === 0) throw new UsageError('Name at least one adapter folder.')
    const strategy = strategyOf(args, NAMES)
    const weights = weightsOf(args, folders.length)
    const adapters = []
    for (const folder of folders) adapters.push(await readAdapterFolder(folder))
    const merged = mergeAdapters({ strategy, weights, adapters })
    const written = await writeAdapterFolder(out, merged, await baseModelName(folders[0]))
    const ranks = [...merged.modules.values()].map(({ rank }) => rank)
    const rank = { least: Math.min(...ranks), most: Math.max(...ranks) }
    console.result({
      dir: out,
      strategy: strategy.id,
      adapters: folders.length,
      modules: ranks.length,
      rank,
      bytes: written,
    })
    const of = rank.least === rank.most ? `rank ${rank.most}` : `ranks ${rank.least} to ${rank.most}`
    console.print(
      `${out}: ${folders.length} adapters merged by ${strategy.id}, ${ranks.length} modules, ${of}, ${bytes(written)}\n`,
    )
  },
}

function weightsOf(args: Arguments, adapters: number): number[] {
  const text = args.text('weights')
  if (text === undefined) return new Array<number>(adapters).fill(1)
  const weights = text.split(',').map((part) => parseNumber(part.trim()))
  if (weights.length !== adapters || !weights.every((weight) => weight > 0 && Number.isFinite(weight))) {
    throw new UsageError(
      `--weights takes ${adapters} positive numbers with commas between, not ${JSON.stringify(text)}.`,
    )
  }
  return weights
}
