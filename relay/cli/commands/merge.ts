/** `merge`: one adapter out of several, by the relay's own strategies, without a relay. */
import type { Adapter } from '../../../models/adapters/adapter.ts'
import { scaledAdapter } from '../../../models/adapters/scaled.ts'
import { MismatchError } from '../../../models/errors.ts'
import type { AdapterOrigin } from '../../../models/formats/peft.ts'
import { bestOf, type Measured, searchScale } from '../../../models/training/line-search.ts'
import { mergeAdapters } from '../../aggregation/index.ts'
import { type Arguments, BACKEND_OPTION, parseNumber } from '../args.ts'
import { findBaseModel, MODEL_OPTION, readSpec } from '../base-model.ts'
import type { Command } from '../command.ts'
import type { Console } from '../console.ts'
import { UsageError } from '../errors.ts'
import { baseModelName, readAdapterFolder, readOrigin, writeAdapterFolder } from '../files.ts'
import { bytes, loss as showLoss } from '../format.ts'
import { readData } from '../local-data.ts'
import { measure } from '../measure.ts'
import { backendOf, checkFits, runModel } from '../running-model.ts'
import { STRATEGIES_IN_WORDS, strategyOf, strategyOptions } from '../strategy-option.ts'
import { TRAINING_OPTIONS, windowLength } from '../training-options.ts'

const NAMES = { rank: 'rank', seed: 'seed' }

export const command: Command = {
  usage: '[--strategy S] --out DIR [--weights n1,n2,…] [--evaluate FILE] [--model M] ADAPTER_DIR…',
  about: `Merges PEFT adapters of one base model into one.\n${STRATEGIES_IN_WORDS}\nffa and lora-sb average B of adapters that share A.`,
  options: {
    ...strategyOptions(NAMES),
    out: { type: 'string', value: 'DIR', help: 'folder to write the merged adapter to' },
    weights: {
      type: 'string',
      value: 'n1,n2,…',
      help: 'one for each adapter, e.g. example counts; default: equal',
    },
    evaluate: {
      type: 'string',
      multiple: true,
      value: 'FILE',
      help: 'find the best --lambda on these data, which no adapter was trained on',
    },
    model: MODEL_OPTION,
    length: TRAINING_OPTIONS.length,
    ...BACKEND_OPTION,
  },
  async run(args, console, signal) {
    const out = args.needed('out', 'name the folder for the merged adapter')
    const folders = args.positionals
    if (folders.length === 0) throw new UsageError('Name at least one adapter folder.')
    const strategy = strategyOf(args, NAMES)
    const texts = args.texts('evaluate')
    if (texts.length > 0 && args.has('lambda')) {
      throw new UsageError('--evaluate finds the best --lambda: give one of the two.')
    }
    const weights = weightsOf(args, folders.length)
    const adapters = []
    for (const folder of folders) adapters.push(await readAdapterFolder(folder))
    const origin = await commonOrigin(folders)
    const unscaled = mergeAdapters({ strategy, weights, adapters })
    const measured = texts.length > 0 ? await measureScales(args, texts, unscaled, console, signal) : null
    const best = measured && bestOf(measured)
    const merged = best ? scaledAdapter(unscaled, best.scale) : unscaled
    const written = await writeAdapterFolder(out, merged, await baseModelName(folders[0]), origin)
    const ranks = [...merged.modules.values()].map(({ rank }) => rank)
    const rank = { least: Math.min(...ranks), most: Math.max(...ranks) }
    console.result({
      dir: out,
      strategy: strategy.id,
      adapters: folders.length,
      modules: ranks.length,
      rank,
      bytes: written,
      ...(best && { lambda: best.scale, loss: best.loss, measured }),
    })
    const of = rank.least === rank.most ? `rank ${rank.most}` : `ranks ${rank.least} to ${rank.most}`
    console.print(
      `${out}: ${folders.length} adapters merged by ${strategy.id}, ${ranks.length} modules, ${of}, ${bytes(written)}\n`,
    )
    if (best) {
      console.print(
        `best of ${measured.length} scales: ${best.scale.toFixed(3)}, loss ${showLoss(best.loss)}\n`,
      )
    }
  },
}

/** What all of them say of their base. Throws MismatchError where two say different things. */
async function commonOrigin(folders: readonly string[]): Promise<AdapterOrigin> {
  const common: { -readonly [key in keyof AdapterOrigin]: AdapterOrigin[key] } = {}
  for (const folder of folders) {
    const origin = await readOrigin(folder)
    for (const part of ['base', 'vocabulary'] as const) {
      const [known, found] = [common[part], origin[part]]
      if (known !== undefined && found !== undefined && known !== found) {
        throw new MismatchError(
          'adapter/other-base',
          `${folder} was trained on another base than ${folders[0]}; merge adapters of one base.`,
        )
      }
      common[part] = known ?? found
    }
  }
  return common
}

/** Windows at once while measuring. */
const BATCH = 8

/** The loss on the data at every scale that the search for the best one tried. */
async function measureScales(
  args: Arguments,
  texts: readonly string[],
  adapter: Adapter,
  console: Console,
  signal: AbortSignal,
): Promise<Measured[]> {
  const base = await findBaseModel(args.text('model'), { console, signal })
  const tokens = windowLength(args, await readSpec(base))
  const running = await runModel(base, backendOf(args), console, { batch: BATCH, tokens, rank: null })
  try {
    await checkFits(running, adapter)
    const examples = (await readData(texts, running, tokens, console)).all
    return await searchScale(async (scale) => {
      const scaled = scaledAdapter(adapter, scale)
      const label = `Scale ${scale.toFixed(3)}`
      const shape = { batch: running.windows, tokens }
      return (await measure(running.model, scaled, examples, shape, console, signal, label)).loss
    })
  } finally {
    await running.close()
  }
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
