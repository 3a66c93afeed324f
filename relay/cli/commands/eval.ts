/** `eval`: the mean negative log-likelihood a counted token, in nats, over all windows of the data. */
import { splitHeldOut } from '../../../models/training/holdout.ts'
import { checkBase, checkVocabulary, OTHER_BASE_OPTION } from '../adapter-origin.ts'
import { BACKEND_OPTION } from '../args.ts'
import { findBaseModel, MODEL_OPTION, readConfig } from '../base-model.ts'
import type { Command } from '../command.ts'
import { NO_ADAPTER, readAdapter } from '../files.ts'
import { loss as showLoss } from '../format.ts'
import { DATA_OPTION, dataFiles, readExamples } from '../local-data.ts'
import { measure } from '../measure.ts'
import { backendOf, checkFits, runModel } from '../running-model.ts'
import { TRAINING_OPTIONS, windowLength } from '../training-options.ts'

const DEFAULT_BATCH = 8

export const command: Command = {
  usage: '--data FILE… [--model M] [--adapter DIR] [--held-out]',
  about:
    'Measures how well a model predicts a text: mean negative log-likelihood a token (nats), perplexity.',
  options: {
    data: DATA_OPTION,
    model: MODEL_OPTION,
    adapter: { type: 'string', value: 'DIR', help: 'adapter to measure: PEFT folder, or .gguf file' },
    length: TRAINING_OPTIONS.length,
    'held-out': { type: 'boolean', help: 'only the tenth of the windows that training holds out' },
    batch: { type: 'string', value: 'N', help: `windows at once, default ${DEFAULT_BATCH}` },
    ...OTHER_BASE_OPTION,
    ...BACKEND_OPTION,
  },
  async run(args, console, signal) {
    const files = dataFiles(args, args.positionals)
    const batch = args.integer('batch', { least: 1, most: 1024 }) ?? DEFAULT_BATCH
    const backend = backendOf(args)
    const folder = args.text('adapter')
    const base = await findBaseModel(args.text('model'), { console, signal })
    const { adapter, origin } = folder === undefined ? NO_ADAPTER : await readAdapter(folder, base)
    await checkBase(origin, base, args)
    const length = windowLength(args, await readConfig(base))
    const running = await runModel(base, backend, console, { batch, tokens: length, rank: null })
    try {
      if (adapter) await checkFits(running, adapter)
      checkVocabulary(origin, running.tokenizer.vocabularyDigest, base)
      const all = await readExamples(files, running.tokenizer, length, console)
      const { train, heldOut } = splitHeldOut(all)
      // Of a single window nothing is held out; it is then what was trained on, as `join` says.
      const examples = !args.flag('held-out') ? all : heldOut.length > 0 ? heldOut : train
      const { loss, counted } = await measure(
        running.model,
        adapter,
        examples,
        { batch, tokens: length },
        console,
        signal,
      )
      const perplexity = Math.exp(loss)
      console.result({ loss, perplexity, tokens: counted, backend: running.engine.backend })
      console.print(
        `loss ${showLoss(loss)} nats a token, perplexity ${perplexity.toFixed(2)}, ${counted} tokens\n`,
      )
    } finally {
      await running.close()
    }
  },
}
