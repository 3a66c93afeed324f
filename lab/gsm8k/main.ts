/**
 * `npm run -s lab:gsm8k -- --model FILE --data DIR --json`: a round on SmolLM2 over school mathematics, end to end: a relay
 * and two command-line clients with disjoint rows, one update each, the merged adapter measured on rows nobody trained
 * on. With the defaults about ten minutes on wasm with two processor cores.
 */
import path from 'node:path'
import { DEFAULT_RECIPE } from '../../models/training/recipe.ts'
import { Arguments, COMMON_OPTIONS, describeOptions, type OptionSpecs } from '../../relay/cli/args.ts'
import { Console } from '../../relay/cli/console.ts'
import { isExpected, UsageError } from '../../relay/cli/errors.ts'
import { bytes, duration, loss, table } from '../../relay/cli/format.ts'
import { type RoundOutcome, runRound } from './round.ts'

const OPTIONS: OptionSpecs = {
  model: {
    type: 'string',
    value: 'FILE',
    help: 'SmolLM2 as a .gguf file; default: what ONEROUND_SMOLLM2 names',
  },
  data: { type: 'string', value: 'DIR', help: 'folder with train-1000.jsonl and test-200.jsonl' },
  steps: { type: 'string', value: 'N', help: 'optimiser steps a client, default 6' },
  batch: { type: 'string', value: 'N', help: 'windows a step, default 2' },
  length: { type: 'string', value: 'N', help: 'tokens a window predicts, default 192' },
  'learning-rate': { type: 'string', value: 'X', help: 'default 2e-3' },
  rows: { type: 'string', value: 'N', help: 'rows a client, default 40' },
  'test-rows': { type: 'string', value: 'N', help: 'rows of the test file, default 10' },
  clients: { type: 'string', value: 'N', help: 'default 2' },
  seed: { type: 'string', value: 'TEXT', help: "of the adapter's start, default gsm8k" },
  backend: { type: 'string', value: 'NAME', help: 'wasm or webgpu, default wasm' },
}

async function lab(args: Arguments, console: Console, signal: AbortSignal): Promise<void> {
  args.noPositionals()
  const model = args.text('model') ?? process.env.ONEROUND_SMOLLM2
  if (!model) throw new UsageError('--model is missing: name the GGUF file of SmolLM2-135M-Instruct.')
  const data = args.needed('data', 'name the folder of gsm8k')
  const steps = args.integer('steps', { least: 1, most: 10_000 }) ?? 6
  const recipe = {
    ...DEFAULT_RECIPE,
    steps,
    batch: args.integer('batch', { least: 1, most: 64 }) ?? 2,
    tokens: args.integer('length', { least: 16, most: 2048 }) ?? 192,
    learningRate: args.number('learning-rate', { least: 1e-8, most: 1 }) ?? 2e-3,
    evaluateEvery: steps,
  }
  const started = performance.now()
  const elapsed = () => (performance.now() - started) / 1000
  const backend = args.choice('backend', ['wasm', 'webgpu'] as const) ?? 'wasm'
  const outcome = await runRound({
    model: path.resolve(model),
    data,
    clients: args.integer('clients', { least: 2, most: 16 }) ?? 2,
    rowsPerClient: args.integer('rows', { least: 10, most: 500 }) ?? 40,
    testRows: args.integer('test-rows', { least: 1, most: 200 }) ?? 10,
    recipe,
    rank: 8,
    alpha: 16,
    seed: args.text('seed') ?? 'gsm8k',
    backend,
    signal,
    say: (text) => console.note(`${duration(elapsed()).padStart(11)}  ${text}`),
  })
  const { batch, tokens, learningRate } = recipe
  console.print(summary(outcome))
  console.result({
    seconds: elapsed(),
    recipe: { steps, batch, tokens, learningRate, rank: 8, alpha: 16 },
    ...outcome,
  })
}

function summary({ clients, test, merged }: RoundOutcome): string {
  const rows = clients.map(({ rows, steps, tokensPerSecond, bytesSent, loss: own }, i) => [
    ...[`client ${i + 1}`, String(rows), String(steps), tokensPerSecond.toFixed(1), bytes(bytesSent)],
    ...[loss(own.base), loss(own.own), loss(own.merged)],
  ])
  const heading = ['', 'rows', 'steps', 'tokens/s', 'sent', 'base', 'own', 'merged']
  const unseen = ['test', String(test.rows), '', '', '', loss(test.base), '', loss(test.merged)]
  return [
    '\nLoss in nats a token of the answers, on rows that were not trained on:\n\n',
    table([heading, ...rows, unseen], [1, 2, 3, 4, 5, 6, 7]),
    `\nMerged version ${merged.version} of ${merged.contributions} contributions.\n`,
  ].join('')
}

const argv = process.argv.slice(2)
const console = new Console(argv.includes('--json'))
const interrupt = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
  })
}
let status = 0
try {
  const args = new Arguments(argv, { ...OPTIONS, ...COMMON_OPTIONS })
  if (args.flag('help'))
    process.stdout.write(
      `Usage: npm run lab:gsm8k -- [OPTIONS]\n\n${describeOptions({ ...OPTIONS, ...COMMON_OPTIONS })}\n`,
    )
  else await lab(args, console, interrupt.signal)
} catch (error) {
  const message = interrupt.signal.aborted ? 'Stopped.' : (error as Error).message
  const code = interrupt.signal.aborted ? 'stopped' : isExpected(error) ? error.code : 'internal'
  console.result({ error: { code, message } })
  console.note(message)
  if (code === 'internal') console.note((error as Error).stack ?? '')
  status = error instanceof UsageError ? 2 : interrupt.signal.aborted ? 130 : 1
}
await new Promise((resolve) => process.stdout.write('', resolve))
process.exit(status)
