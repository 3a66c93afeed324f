/**
 * `npm run -s bench -- --json`: what this project's engine does on the device at hand, in one run, against plain tfjs on the
 * same adapter. Speeds on software adapters mean nothing by themselves; ratios within a run do.
 *
 * --only A,B      sections: peak, ops, load, step, generate, pictures (default: all)
 * --model PATH    SmolLM2-135M-Instruct as a GGUF file (default: what ONEROUND_SMOLLM2 names; without it the embedded model alone)
 * --shapes A,B    of the step: tiny, 2layers, 1x64, 1x256 (default: all but 2layers); without tiny it is left out of texts too
 * --backend B     webgpu or wasm alone (default: both)
 * --pictures N    pictures a step of the text-to-image model takes (default 16; a software adapter is slow)
 * --seconds N     how long a contestant of a step is timed at most, beyond two steps (default 20)
 * --software      WebGPU on a software adapter, where there is no GPU (Linux)
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { openWebgpu } from './devices.ts'
import { reportAndExit } from './report.ts'
import type { BenchContext } from './section.ts'
import { benchGeneration } from './sections/generate.ts'
import { benchLoad } from './sections/load.ts'
import { benchOps } from './sections/ops.ts'
import { benchPeak } from './sections/peak.ts'
import { benchPictures } from './sections/pictures.ts'
import { benchSteps, SHAPES } from './sections/step.ts'
import { openSmolLm2 } from './smollm2.ts'

/** In the order in which they run: later ones use what earlier ones have found. */
const SECTIONS = {
  peak: benchPeak,
  ops: benchOps,
  load: benchLoad,
  step: benchSteps,
  generate: benchGeneration,
  pictures: benchPictures,
} as const

type Section = keyof typeof SECTIONS
const names = Object.keys(SECTIONS) as Section[]

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    model: { type: 'string' },
    shapes: { type: 'string' },
    backend: { type: 'string' },
    pictures: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '20' },
    software: { type: 'boolean', default: false },
  },
})

const log = (line: string) => process.stderr.write(`${line}\n`)

/** A list of an option's, each one of those known; null where the option is not given. */
function chosen<Name extends string>(option: 'only' | 'shapes', known: readonly Name[]): Name[] | null {
  const asked = options[option]?.split(',')
  if (!asked) return null
  for (const name of asked) {
    if (!known.some((other) => other === name))
      throw new RangeError(`--${option} takes some of ${known.join(',')}, not ${JSON.stringify(name)}`)
  }
  return known.filter((name) => asked.includes(name))
}

async function bench() {
  const sections = chosen('only', names) ?? names
  const shapes = chosen('shapes', SHAPES)
  const { backend } = options
  if (backend !== undefined && backend !== 'webgpu' && backend !== 'wasm')
    throw new RangeError('--backend takes webgpu or wasm')
  const seconds = Number(options.seconds)
  if (!(seconds > 0 && seconds <= 3600)) throw new RangeError('--seconds takes a number from above 0 to 3600')
  const pictures = Number(options.pictures)
  if (!(Number.isInteger(pictures) && pictures >= 1 && pictures <= 256))
    throw new RangeError('--pictures takes a whole number from 1 to 256')
  const webgpu = backend === 'wasm' ? null : await openWebgpu(options.software, log)
  const path = options.model ?? process.env.ONEROUND_SMOLLM2
  const smolLm2 = path ? await openSmolLm2(path) : null
  if (!smolLm2) log('SmolLM2 is left out: name its GGUF file with --model or ONEROUND_SMOLLM2.')
  const context: BenchContext = {
    log,
    webgpu,
    smolLm2,
    seconds,
    shapes,
    pictures,
    wasm: backend !== 'webgpu',
    found: {},
  }
  const results: Record<string, unknown> = {}
  const sectionSeconds: Record<string, number> = {}
  for (const name of sections) {
    const start = performance.now()
    results[name] = await SECTIONS[name](context)
    sectionSeconds[name] = (performance.now() - start) / 1000
  }
  await smolLm2?.close()
  return {
    date: new Date().toISOString(),
    cpu: `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
    loadAverage: loadavg()[0],
    node: process.version,
    tfjs: tf.version_core,
    webgpu: webgpu && { device: webgpu.description, software: webgpu.software, kernels: webgpu.plan.style },
    adapter: 'LoRA r 8 on all seven projections',
    sectionSeconds,
    ...results,
  }
}

// Without --json the log has said it all, but for this.
await reportAndExit(bench, { json: options.json, log })
