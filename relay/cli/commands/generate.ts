/** `generate`: continues a prompt, or draws one or several captions, with or without an adapter. */
import { randomBytes } from 'node:crypto'
import { checkBase, checkVocabulary, OTHER_BASE_OPTION } from '../adapter-origin.ts'
import { BACKEND_OPTION } from '../args.ts'
import { findBaseModel, MODEL_OPTION, readSpec } from '../base-model.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../errors.ts'
import { NO_ADAPTER, readAdapter } from '../files.ts'
import { rate } from '../format.ts'
import { backendOf, checkFits, runModel } from '../running-model.ts'
import { DRAWING_OPTIONS, drawToFile, readDrawing } from './generate-pictures.ts'

const DEFAULT_TOKENS = 128
/** Taken in at once. */
const PROMPT_TOKENS = 64
const DEFAULT_TEMPERATURE = 0.8
const DEFAULT_TOP_P = 0.95

export const command: Command = {
  usage:
    '--prompt P [--model M] [--adapter DIR] [--chat] [--greedy] [--max-tokens N] | --prompt CAPTION… --out FILE.png',
  about:
    'Continues a prompt. With a model that draws: draws each --prompt, several of them as a grid, into a PNG file.',
  options: {
    prompt: {
      type: 'string',
      multiple: true,
      value: 'P',
      help: 'text to continue, or with --chat what to say to the model; or what to draw, several times',
    },
    model: MODEL_OPTION,
    adapter: { type: 'string', value: 'DIR', help: 'adapter to use: PEFT folder, or .gguf file' },
    chat: { type: 'boolean', help: "put the prompt into the model's chat template" },
    greedy: { type: 'boolean', help: 'always the likeliest token' },
    'max-tokens': { type: 'string', value: 'N', help: `default ${DEFAULT_TOKENS}` },
    temperature: { type: 'string', value: 'X', help: `0 is greedy, default ${DEFAULT_TEMPERATURE}` },
    'top-p': {
      type: 'string',
      value: 'X',
      help: `sample from the likeliest tokens of this share, default ${DEFAULT_TOP_P}`,
    },
    repetition: {
      type: 'string',
      value: 'X',
      help: 'above 1: what the prompt or the text already holds becomes less likely, default 1',
    },
    stop: {
      type: 'string',
      multiple: true,
      value: 'TEXT',
      help: 'end before this text; may be given several times',
    },
    seed: {
      type: 'string',
      value: 'TEXT',
      help: 'of the sampling, or of the noise; default: a new one each time',
    },
    ...DRAWING_OPTIONS,
    ...OTHER_BASE_OPTION,
    ...BACKEND_OPTION,
  },
  async run(args, console, signal) {
    args.noPositionals()
    const prompts = args.texts('prompt')
    const [prompt] = prompts
    if (!prompt) throw new UsageError('--prompt is missing: give the text to continue, or what to draw.')
    const maxTokens = args.integer('max-tokens', { least: 1, most: 1_000_000 }) ?? DEFAULT_TOKENS
    const temperature = args.number('temperature', { least: 0, most: 100 })
    const topP = args.number('top-p', { least: 1e-6, most: 1 })
    const repetitionPenalty = args.number('repetition', { least: 0.1, most: 10 })
    const stop = args.texts('stop')
    const greedy = args.flag('greedy')
    if (greedy && (temperature !== undefined || topP !== undefined)) {
      throw new UsageError('--greedy samples nothing: leave out --temperature and --top-p.')
    }
    const seed = args.text('seed') ?? randomBytes(8).toString('hex')
    const backend = backendOf(args)
    const folder = args.text('adapter')
    const base = await findBaseModel(args.text('model'), { console, signal })
    const { adapter, origin } = folder === undefined ? NO_ADAPTER : await readAdapter(folder, base)
    await checkBase(origin, base, args)
    const { medium, tokens: rows } = await readSpec(base)
    const drawing = medium === 'pictures' ? readDrawing(args, prompts) : null
    if (!drawing && prompts.length > 1) throw new UsageError('This model continues one --prompt at a time.')
    const work = { batch: drawing?.atOnce ?? 1, tokens: drawing ? rows.usual : PROMPT_TOKENS, rank: null }
    const running = await runModel(base, backend, console, work)
    try {
      if (adapter) await checkFits(running, adapter)
      checkVocabulary(origin, running.vocabularyDigest, base)
      if (running.medium === 'pictures') {
        await drawToFile(running, adapter, drawing!, seed, console, signal)
        return
      }
      const { tokenizer } = running
      // A template writes its own beginning-of-text token; plain text gets it only where the tokenizer says so.
      const ids = args.flag('chat')
        ? tokenizer.encode(tokenizer.renderChat([{ role: 'user', content: prompt }], true))
        : [
            ...(tokenizer.addBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : []),
            ...tokenizer.encode(prompt),
          ]
      const tokens: number[] = []
      let text = ''
      let started: number | undefined
      const stream = running.generate({
        adapter,
        prompt: ids,
        maxTokens,
        temperature: greedy ? 0 : (temperature ?? DEFAULT_TEMPERATURE),
        topP: topP ?? DEFAULT_TOP_P,
        repetitionPenalty,
        stop,
        seed,
        stopIds: running.endIds,
        signal,
      })
      for await (const token of stream) {
        // The first token's time is the prompt's.
        started ??= performance.now()
        tokens.push(token.id)
        text += token.text
        console.print(token.text)
      }
      console.print('\n')
      const seconds = started === undefined ? 0 : (performance.now() - started) / 1000
      const perSecond = tokens.length > 1 && seconds > 0 ? (tokens.length - 1) / seconds : null
      if (perSecond !== null) console.note(`${tokens.length} tokens, ${rate(perSecond, 'tokens')}`)
      // Nothing of the clock: the same seed gives the same answer, to the byte.
      console.result({
        text,
        tokens,
        promptTokens: ids.length,
        backend: running.engine.backend,
      })
    } finally {
      await running.close()
    }
  },
}
