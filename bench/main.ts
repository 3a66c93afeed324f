/**
 * `npm run -s bench -- --json`: what this project's engine does on the device at hand, in one run, against plain tfjs on the
 * same adapter. Speeds on software adapters mean nothing by themselves; ratios within a run do. docs/benchmarks.md says
 * what each field of the report is.
 */
import { DeviceError } from '../models/errors.ts'
import type { OptionSpecs } from '../relay/cli/args.ts'
import { UsageError } from '../relay/cli/errors.ts'
import { runAgenda } from './agenda.ts'
import { describeWebgpu, openWebgpu } from './devices.ts'
import { runBench } from './run-bench.ts'
import type { BenchContext } from './section.ts'
import { generateSection } from './sections/generate.ts'
import { loadSection } from './sections/load.ts'
import { opsSection } from './sections/ops.ts'
import { peakSection } from './sections/peak.ts'
import { picturesSection } from './sections/pictures.ts'
import { SHAPES, stepSection } from './sections/step.ts'
import { openSmolLm2 } from './smollm2.ts'

/** In the order in which they run: later ones use what earlier ones have found. */
const SECTIONS = {
  peak: peakSection,
  ops: opsSection,
  load: loadSection,
  step: stepSection,
  generate: generateSection,
  pictures: picturesSection,
} as const

const NAMES = Object.keys(SECTIONS) as (keyof typeof SECTIONS)[]

const OPTIONS: OptionSpecs = {
  only: { type: 'string', value: 'A,B', help: `some of ${NAMES.join(', ')}; default: all` },
  model: {
    type: 'string',
    value: 'FILE',
    help: 'SmolLM2-135M-Instruct as GGUF; default: what ONEROUND_SMOLLM2 names, else the embedded model alone',
  },
  shapes: {
    type: 'string',
    value: 'A,B',
    help: `of the step, some of ${SHAPES.join(', ')}; default: all but 2layers; without tiny it is left out of texts too`,
  },
  backend: { type: 'string', value: 'NAME', help: 'webgpu or wasm alone; default: both' },
  pictures: {
    type: 'string',
    value: 'N',
    help: 'pictures a step of the text-to-image model takes; default: 16, on a software adapter 4',
  },
  seconds: {
    type: 'string',
    value: 'N',
    help: 'how long a contestant of a step or text is timed at most, beyond one run; default: 20',
  },
  own: {
    type: 'boolean',
    help: 'steps, texts and pictures by this engine alone, without plain tfjs beside it',
  },
  software: { type: 'boolean', help: 'WebGPU on a software adapter, where there is no GPU (Linux)' },
}

/** A list of an option's, each one of those known; null where the option is not given. */
function chosen<Name extends string>(option: string, text: string | undefined, known: readonly Name[]) {
  if (text === undefined) return null
  const asked = text.split(',')
  for (const name of asked) {
    if (!known.some((other) => other === name))
      throw new UsageError(`--${option} takes some of ${known.join(',')}, not ${JSON.stringify(name)}.`)
  }
  return known.filter((name) => asked.includes(name))
}

await runBench({
  command: 'npm run -s bench --',
  what: 'Measures peaks, ops, loading, training steps and generation of this engine, and plain tfjs beside it.',
  options: OPTIONS,
  async run(options, log) {
    const names = chosen('only', options.text('only'), NAMES) ?? NAMES
    const shapes = chosen('shapes', options.text('shapes'), SHAPES)
    const backend = options.choice('backend', ['webgpu', 'wasm'])
    const seconds = options.number('seconds', { least: 0.1, most: 3600 }) ?? 20
    const pictures = options.integer('pictures', { least: 1, most: 256 })
    const path = options.text('model') ?? process.env.ONEROUND_SMOLLM2
    const smolLm2 = path ? await openSmolLm2(path) : null
    if (!smolLm2) log('SmolLM2 is left out: name its GGUF file with --model or ONEROUND_SMOLLM2.')
    const webgpu = backend === 'wasm' ? null : await openWebgpu(options.flag('software'), log)
    if (backend === 'webgpu' && !webgpu)
      throw new DeviceError(
        'device/no-adapter',
        'WebGPU found no graphics adapter: leave --backend webgpu out, or add --software.',
      )
    const faults: string[] = []
    const context: BenchContext = {
      log,
      faults,
      webgpu,
      smolLm2,
      seconds,
      shapes,
      pictures: pictures ?? (webgpu?.software ? 4 : 16),
      own: options.flag('own'),
      wasm: backend !== 'webgpu',
      found: {},
    }
    const sections = Object.fromEntries(names.map((name) => [name, SECTIONS[name](context)]))
    const { reports, times } = await runAgenda(sections, { log, faults })
    await smolLm2?.close()
    return {
      webgpu: webgpu && describeWebgpu(webgpu),
      adapter: 'LoRA r 8 on all seven projections',
      parts: times,
      faults,
      ...reports,
    }
  },
})
