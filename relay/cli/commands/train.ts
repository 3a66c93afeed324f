/** `train`: one adapter from local files, on this machine alone; nothing is sent anywhere. */
import { randomBytes } from 'node:crypto'
import { startOf } from '../../../models/adapters/initial.ts'
import { BACKEND_OPTION } from '../args.ts'
import { describeModel, findBaseModel, MODEL_OPTION, readSpec } from '../base-model.ts'
import type { Command } from '../command.ts'
import { writeAdapterFolder } from '../files.ts'
import { bytes, rate, loss as showLoss } from '../format.ts'
import { DATA_OPTION, dataFiles, readData } from '../local-data.ts'
import { trainHere } from '../local-training.ts'
import { backendOf, runModel } from '../running-model.ts'
import { startFromBase } from '../start-file.ts'
import { adapterOptions, recipeOf, TRAINING_OPTIONS } from '../training-options.ts'

export const command: Command = {
  usage: '--data FILE… --out DIR [--model M] [OPTIONS]',
  about:
    'Trains a LoRA adapter (or FFA, LoRA-SB: --form) over local files and writes it as a PEFT folder. A tenth of the data is held out\nto measure on. Nothing is sent anywhere.',
  options: {
    data: DATA_OPTION,
    out: { type: 'string', value: 'DIR', help: 'folder to write the adapter to' },
    model: MODEL_OPTION,
    ...TRAINING_OPTIONS,
    'micro-batch': {
      type: 'string',
      value: 'N',
      help: 'examples on the device at once; default: as many of the batch as its memory takes',
    },
    seed: {
      type: 'string',
      value: 'TEXT',
      help: 'of the start and of the order; default: a new one each time',
    },
    ...BACKEND_OPTION,
  },
  async run(args, console, signal) {
    const files = dataFiles(args, args.positionals)
    const out = args.needed('out', 'name the folder for the adapter')
    const backend = backendOf(args)
    const base = await findBaseModel(args.text('model'), { console, signal })
    const recipe = recipeOf(args, await readSpec(base))
    const { form, rank, alpha } = adapterOptions(args)
    const microBatch = args.integer('micro-batch', { least: 1, most: 1024 })
    const seed = args.text('seed') ?? randomBytes(16).toString('hex')
    const running = await runModel(base, backend, console, { ...recipe, rank, form })
    try {
      const { units } = running.model
      const split = await readData(files, running, recipe.tokens, console)
      const adapterShape = { form, rank, alpha, modules: running.spec.targets }
      const initial =
        form === 'lora-sb'
          ? await startFromBase(base, adapterShape, console)
          : startOf(adapterShape, seed, null)
      const trained = await trainHere(
        running,
        { initial, form, microBatch, examples: split.train, heldOut: split.heldOut, recipe, seed },
        console,
        signal,
      )
      const { best, startLoss } = trained
      const written = await writeAdapterFolder(out, trained.adapter, base.id, {
        base: (await describeModel(base)).digest,
        vocabulary: running.vocabularyDigest,
      })
      console.result({
        dir: out,
        backend: running.engine.backend,
        steps: trained.steps,
        examples: split.train.length,
        heldOut: split.heldOut.length,
        [`${units.counted}s`]: trained.tokens,
        // The start changes nothing yet: its loss is the base model's.
        loss: { base: startLoss, own: best.heldOutLoss },
        bestStep: best.step,
        form,
        bytes: written,
        seed,
      })
      if (startLoss !== null && best.heldOutLoss !== null)
        console.print(
          `Held-out loss: base ${showLoss(startLoss)}, adapter ${showLoss(best.heldOutLoss)} ${units.loss}\n`,
        )
      console.print(
        `${out}: adapter of rank ${rank}, ${bytes(written)}, ${trained.steps} steps, ${rate(trained.tokensPerSecond, `${units.counted}s`)}\n`,
      )
    } finally {
      await running.close()
    }
  },
}
