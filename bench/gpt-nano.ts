/**
 * `npm run -s bench:gpt-nano -- --json`: a training step of all weights of a model of GPT-nano's size (3 layers, 3 heads, width
 * 48, batch 8 x 64, vocabulary 50,257), through this engine and as plain tfjs ops on the same adapter, the two taking turns.
 * bench/gpt-nano/model.ts says what differs from GPT-nano.
 */
import type { Engine } from '../models/backend/engine.ts'
import { createNodeEngine } from '../models/backend/node.ts'
import { DeviceError } from '../models/errors.ts'
import { PlanEngine } from '../models/plan/plan-engine.ts'
import { DEFAULT_RECIPE } from '../models/training/recipe.ts'
import { hyperParameters } from '../models/training/schedule.ts'
import { meanLoss } from '../models/training/step.ts'
import type { OptionSpecs } from '../relay/cli/args.ts'
import { type Part, runAgenda, type Section } from './agenda.ts'
import { type Place, placeOf } from './conditions.ts'
import { describeWebgpu, openWebgpu } from './devices.ts'
import { NANO, nanoTraining } from './gpt-nano/model.ts'
import { plainNano } from './gpt-nano/plain.ts'
import { type Log, runBench } from './run-bench.ts'
import { PLAIN } from './step-contestants.ts'
import { type Lap, medianLap, type Spread, spread, startClocks } from './timing.ts'
import { takeTurns } from './turns.ts'

/** What DISCO publishes for its GPT-nano of this size, in tokens/s: never measured by this bench. */
const PUBLISHED = {
  who: 'DISCO, GPT-nano, batch 8 x 64, vocabulary 50,257',
  device: 'AMD Radeon 860M',
  webgpuTokensPerSecond: 1868,
  webglTokensPerSecond: 576,
} as const

const OPTIONS: OptionSpecs = {
  backend: { type: 'string', value: 'NAME', help: 'webgpu or wasm alone; default: both' },
  steps: {
    type: 'string',
    value: 'N',
    help: 'timed steps a contestant, after one that compiles; default: 3',
  },
  software: { type: 'boolean', help: 'WebGPU on a software adapter, where there is no GPU (Linux)' },
  own: { type: 'boolean', help: 'this engine alone' },
}

const rows = NANO.batch * NANO.tokens
/** Ids as far apart as a text's: some often, most seldom. */
const ids = Int32Array.from({ length: rows }, (_, i) => (i % 3 === 0 ? i % 17 : (i * 7919) % NANO.vocabulary))
const targets = Int32Array.from(ids, (_, i) => ids[(i + 1) % rows])
const recipe = { ...DEFAULT_RECIPE, steps: 1000, learningRate: 1e-3, weightDecay: 0, maxNorm: 0 }

interface Contestant {
  readonly name: string
  readonly place: Place
  readonly intermediateBytes: number | null
  readonly dispatches: () => number
  step(index: number): Promise<number>
  dispose(): void
}

async function ownContestant(engine: Engine): Promise<Contestant> {
  const { program, dispose } = await nanoTraining(engine)
  const isPlan = engine instanceof PlanEngine
  return {
    name: `oneround (${engine.executor})`,
    place: placeOf(engine),
    intermediateBytes: isPlan ? program.stats.intermediateBytes : null,
    dispatches: () => (isPlan ? engine.dispatches : engine.tfjsOps()),
    async step(index) {
      const { nll } = await program.run({ ids, targets, hyper: hyperParameters(recipe, index) }, ['nll'])
      return meanLoss(nll, rows)
    },
    dispose,
  }
}

async function plainContestant(engine: Engine): Promise<Contestant> {
  // Makes the engine's backend tfjs's current one.
  await engine.finish()
  const plain = plainNano(recipe.learningRate)
  return {
    name: PLAIN,
    place: placeOf(engine, 'tfjs'),
    intermediateBytes: null,
    dispatches: () => engine.tfjsOps(),
    async step() {
      await engine.finish()
      return plain.step(ids, targets)
    },
    dispose: () => plain.dispose(),
  }
}

interface NanoResult extends Place {
  readonly contestant: string
  readonly steps: number
  readonly stepMs: Spread
  readonly stepCpuMs: Spread
  readonly tokensPerSecond: number
  readonly tokensPerCpuSecond: number
  readonly firstStepMs: number
  readonly firstLoss: number
  readonly lastLoss: number
  readonly dispatches: number
  readonly intermediateBytes: number | null
}

interface AgainstPlain {
  readonly byWall: Spread
  readonly byCpu: Spread
}

interface Step extends Lap {
  readonly loss: number
  readonly dispatches: number
}

/** The first loss comes from the same weights; later ones from weights that two optimisers' roundings have moved apart. */
const FIRST_LOSSES_APART = 1e-4
const LAST_LOSSES_APART = 1e-2

async function race(contestants: readonly Contestant[], steps: number, log: Log) {
  const turns = await takeTurns(
    contestants.map((contestant) => async (round: number): Promise<Step> => {
      const before = contestant.dispatches()
      const read = startClocks()
      const loss = await contestant.step(round + 1)
      const lap = read()
      log(
        `${contestant.name} on ${contestant.place.device}: ${lap.wallMs.toFixed(0)} ms, processor ${lap.cpuMs.toFixed(0)} ms, loss ${loss.toFixed(4)}${round === 0 ? ' (first)' : ''}`,
      )
      return { ...lap, loss, dispatches: contestant.dispatches() - before }
    }),
    { most: steps, budgetMs: Number.POSITIVE_INFINITY },
  )
  for (const contestant of contestants) contestant.dispose()
  const results = contestants.map(({ name, place, intermediateBytes }, which): NanoResult => {
    const [first, ...rest] = turns[which]
    const { wallMs, cpuMs } = medianLap(rest)
    return {
      ...place,
      contestant: name,
      steps: rest.length,
      stepMs: spread(rest.map(({ wallMs }) => wallMs)),
      stepCpuMs: spread(rest.map(({ cpuMs }) => cpuMs)),
      tokensPerSecond: (rows * 1000) / wallMs,
      tokensPerCpuSecond: (rows * 1000) / cpuMs,
      firstStepMs: first.wallMs,
      firstLoss: first.loss,
      lastLoss: rest.at(-1)!.loss,
      dispatches: rest.at(-1)!.dispatches,
      intermediateBytes,
    }
  })
  const [reference] = results
  for (const { contestant, firstLoss, lastLoss } of results) {
    const same =
      Math.abs(firstLoss - reference.firstLoss) <= FIRST_LOSSES_APART &&
      Math.abs(lastLoss - reference.lastLoss) <= LAST_LOSSES_APART
    if (!same)
      throw new Error(
        `${contestant} goes from ${firstLoss} to ${lastLoss}, the first from ${reference.firstLoss} to ${reference.lastLoss}: not the same work`,
      )
  }
  const [own, plain] = turns.map((all) => all.slice(1))
  const ratios = (clock: keyof Lap) => spread(plain.map((step, round) => step[clock] / own[round][clock]))
  return {
    results,
    againstPlain: plain
      ? ({ byWall: ratios('wallMs'), byCpu: ratios('cpuMs') } satisfies AgainstPlain)
      : null,
  }
}

await runBench({
  command: 'npm run -s bench:gpt-nano --',
  what: "Measures a training step of all weights of a model of GPT-nano's size, through this engine and as plain tfjs.",
  options: OPTIONS,
  async run(options, log) {
    const steps = options.integer('steps', { least: 1, most: 1000 }) ?? 3
    const backend = options.choice('backend', ['webgpu', 'wasm'])
    const webgpu = backend === 'wasm' ? null : await openWebgpu(options.flag('software'), log)
    if (backend === 'webgpu' && !webgpu)
      throw new DeviceError(
        'device/no-adapter',
        'WebGPU found no graphics adapter: leave --backend webgpu out, or add --software.',
      )
    const faults: string[] = []
    const results: NanoResult[] = []
    const againstPlain: Record<string, AgainstPlain> = {}
    const take = async (name: string, ownEngine: Engine, plainEngine: Engine) => {
      const contestants = [await ownContestant(ownEngine)]
      if (!options.flag('own')) contestants.push(await plainContestant(plainEngine))
      const raced = await race(contestants, steps, log)
      results.push(...raced.results)
      if (raced.againstPlain) againstPlain[name] = raced.againstPlain
    }
    const parts: Part[] = []
    if (webgpu)
      parts.push({ name: 'WebGPU', seconds: 60, run: () => take('webgpu', webgpu.plan, webgpu.plain) })
    if (backend !== 'webgpu') {
      parts.push({
        name: 'wasm',
        seconds: 20,
        run: async () => {
          const wasm = await createNodeEngine({ backend: 'wasm' })
          await take('wasm', wasm, wasm)
          await wasm.dispose()
        },
      })
    }
    const section: Section = { parts, report: () => results }
    const { reports, times } = await runAgenda({ results: section }, { log, faults })
    return {
      webgpu: webgpu && describeWebgpu(webgpu),
      model: NANO,
      published: PUBLISHED,
      parts: times,
      faults,
      againstPlain,
      ...reports,
    }
  },
})
