/**
 * `npm run lab:leak`: the leak lesson without a browser, over one seed or several. Prints a table, or with --json one
 * object. docs/experiments.md says what it does and does not show.
 */
import fs from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { BackendName } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { catalog, samples } from '../../models/catalog/catalog.ts'
import { loadModel } from '../../models/catalog/load.ts'
import { CONDITIONS, LEAK_DEFAULTS, type LeakMeasure, leakExperiment } from './experiment.ts'
import { drawCode, isCode } from './secret.ts'

const { values: args } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    code: { type: 'string' },
    copies: { type: 'string', default: String(LEAK_DEFAULTS.copies) },
    clients: { type: 'string', default: String(LEAK_DEFAULTS.clients) },
    steps: { type: 'string', default: String(LEAK_DEFAULTS.steps) },
    candidates: { type: 'string', default: String(LEAK_DEFAULTS.candidates) },
    backend: { type: 'string', default: 'wasm' },
    json: { type: 'boolean', default: false },
  },
})

/** Wrong usage: one sentence, exit 2. */
function refuse(message: string): never {
  if (args.json) process.stdout.write(`${JSON.stringify({ error: { code: 'usage', message } })}\n`)
  else process.stderr.write(`${message}\n`)
  process.exit(2)
}

function whole(
  name: 'seeds' | 'copies' | 'clients' | 'steps' | 'candidates',
  least: number,
  most: number,
): number {
  const value = Number(args[name])
  if (Number.isInteger(value) && value >= least && value <= most) return value
  return refuse(`--${name} takes a whole number from ${least} to ${most}, not ${args[name]}.`)
}

if (args.code !== undefined && !isCode(args.code)) refuse('--code takes four digits.')
const options = {
  copies: whole('copies', 0, 50),
  clients: whole('clients', 3, 24),
  steps: whole('steps', 1, 1000),
  candidates: whole('candidates', 2, 10_000),
}
const runs = whole('seeds', 1, 20)

const folder = fileURLToPath(new URL('../../models/catalog/', import.meta.url))
const tiny = catalog.find(({ id }) => id === 'tiny')!
const files = new Map<string, Uint8Array>()
for (const { name } of tiny.files) files.set(name, await fs.readFile(path.join(folder, 'tiny', name)))
const texts = await Promise.all(
  samples.map(({ file }) => fs.readFile(path.join(folder, 'samples', file), 'utf8')),
)

const engine = await createNodeEngine({ backend: args.backend as BackendName })
const loaded = loadModel(engine, files)
if (loaded.medium !== 'text') throw new Error('the tiny model writes text')
const began = performance.now()
const results: { seed: string; code: string; measures: LeakMeasure[] }[] = []
for (let run = 0; run < runs; run++) {
  const seed = String(Number(args.seed) + run)
  const code = args.code ?? drawCode(seed)
  const measures: LeakMeasure[] = []
  for await (const event of leakExperiment(loaded, { ...options, seed, code, texts })) {
    if (event.kind === 'measured') measures.push(event.measure)
    else if (process.stderr.isTTY) {
      process.stderr.write(`\rseed ${seed}: ${Math.round(100 * event.fraction)} %, ${event.doing}   `)
    }
  }
  results.push({ seed, code, measures })
}
const seconds = (performance.now() - began) / 1000
loaded.dispose()
await engine.dispose()

const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
const summary = CONDITIONS.map((condition) => {
  const all = results.map(({ measures }) => measures.find((one) => one.condition === condition)!)
  return {
    condition,
    clients: all[0].clients,
    exposureBits: mean(all.map(({ exposure }) => exposure.bits)),
    saysTheCode: all.filter(({ says }, i) => says.startsWith(results[i].code)).length,
    heldOutLoss: mean(all.map(({ heldOutLoss }) => heldOutLoss)),
  }
})

if (args.json) {
  const { device } = engine
  process.stdout.write(`${JSON.stringify({ ...options, device, seconds, runs: results, summary })}\n`)
} else {
  process.stdout.write(`condition  clients  exposure/bits  says the code  held-out loss\n`)
  for (const row of summary) {
    process.stdout.write(
      `${row.condition.padEnd(9)} ${String(row.clients).padStart(8)} ${row.exposureBits.toFixed(2).padStart(14)} ${`${row.saysTheCode} of ${runs}`.padStart(14)} ${row.heldOutLoss.toFixed(3).padStart(14)}\n`,
    )
  }
  process.stdout.write(`${runs} run(s), ${seconds.toFixed(0)} s on ${engine.device}\n`)
}
