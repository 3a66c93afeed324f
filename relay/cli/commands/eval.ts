/**
 * `eval`: of text the mean negative log-likelihood a counted token, in nats, over all windows; of pictures the mean
 * squared error of the flow at four fixed times with fixed noise.
 */
import { checkBase, checkVocabulary, OTHER_BASE_OPTION } from '../adapter-origin.ts'
import { BACKEND_OPTION } from '../args.ts'
import { findBaseModel, MODEL_OPTION, readSpec } from '../base-model.ts'
import type { Command } from '../command.ts'
import { NO_ADAPTER, readAdapter } from '../files.ts'
import { loss as showLoss } from '../format.ts'
import { DATA_OPTION, dataFiles, readData } from '../local-data.ts'
import { measure } from '../measure.ts'
import { backendOf, checkFits, runModel } from '../running-model.ts'
import { TRAINING_OPTIONS, windowLength } from '../training-options.ts'

const DEFAULT_BATCH = 8

export const command: Command = {
  usage: '--data FILE… [--model M] [--adapter DIR] [--held-out]',
  about:
    'Measures how well a model predicts a text: mean negative log-likelihood a token (nats), perplexity. Of a model\nthat draws: the mean squared error of its velocity over pictures, at fixed noise and times.',
  options: {
    data: DATA_OPTION,
    model: MODEL_OPTION,
    adapter: { type: 'string', value: 'DIR', help: 'adapter to measure: PEFT folder, or .gguf file' },
    length: TRAINING_OPTIONS.length,
    'held-out': { type: 'boolean', help: 'only the tenth of the data that training holds out' },
    batch: { type: 'string', value: 'N', help: `windows or pictures at once, default ${DEFAULT_BATCH}` },
    ...OTHER_BASE_OPTION,
    ...BACKEND_OPTION,
  },
  async run(args, console, signal) {
    const files = dataFiles(args, args.positionals)
    const batch = args.integer('batch', { least: 1, most: 1024 }) ?? DEFAULT_BATCH
    const wantedBackend = backendOf(args)
    const folder = args.text('adapter')
    const base = await findBaseModel(args.text('model'), { console, signal })
    const { adapter, origin } = folder === undefined ? NO_ADAPTER : await readAdapter(folder, base)
    await checkBase(origin, base, args)
    const length = windowLength(args, await readSpec(base))
    const running = await runModel(base, wantedBackend, console, { batch, tokens: length, rank: null })
    try {
      if (adapter) await checkFits(running, adapter)
      checkVocabulary(origin, running.vocabularyDigest, base)
      const { all, train, heldOut } = await readData(files, running, length, console)
      // Of a single example nothing is held out; it is then what was trained on, as `join` says.
      const examples = !args.flag('held-out') ? all : heldOut.length > 0 ? heldOut : train
      const { loss, counted } = await measure(
        running.model,
        adapter,
        examples,
        { batch: running.windows, tokens: length },
        console,
        signal,
      )
      const unit = running.model.units.loss
      const { backend } = running.engine
      const shown = `loss ${showLoss(loss)} ${unit}`
      if (running.medium === 'pictures') {
        console.result({ loss, unit, pictures: examples.length, passes: counted, backend })
        console.print(`${shown}, ${examples.length} pictures, ${counted} passes\n`)
        return
      }
      const perplexity = Math.exp(loss)
      console.result({ loss, unit, perplexity, tokens: counted, backend })
      console.print(`${shown}, perplexity ${perplexity.toFixed(2)}, ${counted} tokens\n`)
    } finally {
      await running.close()
    }
  },
}
