/**
 * `npm run -s bench:gpt-nano -- --json`: a training step of all weights of a model of GPT-nano's size (3 layers, 3 heads, width
 * 48, batch 8 x 64, vocabulary 50,257), through this engine and as plain tfjs ops on the same adapter. DISCO publishes speeds
 * of that size: 1,868 tokens/s on WebGPU and 576 on WebGL, on a Radeon 860M. bench/gpt-nano/model.ts says what differs.
 *
 * --backend B   webgpu or wasm alone (default: both)
 * --steps N     timed steps a contestant, after one that compiles (default 3)
 * --software    WebGPU on a software adapter, where there is no GPU (Linux)
 * --own         this engine alone
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type { Engine } from '../models/backend/engine.ts'
import { createNodeEngine } from '../models/backend/node.ts'
import { PlanEngine } from '../models/plan/plan-engine.ts'
import { DEFAULT_RECIPE } from '../models/training/recipe.ts'
import { hyperParameters } from '../models/training/schedule.ts'
import { meanLoss } from '../models/training/step.ts'
import { openWebgpu } from './devices.ts'
import { NANO, nanoTraining } from './gpt-nano/model.ts'
import { plainNano } from './gpt-nano/plain.ts'
import { reportAndExit } from './report.ts'
import { type Lap, medianLap, startClocks } from './timing.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    backend: { type: 'string' },
    steps: { type: 'string', default: '3' },
    software: { type: 'boolean', default: false },
    own: { type: 'boolean', default: false },
  },
})
const log = (line: string) => process.stderr.write(`${line}\n`)

const rows = NANO.batch * NANO.tokens
/** Ids as far apart as a text's: some often, most seldom. */
const ids = Int32Array.from({ length: rows }, (_, i) => (i % 3 === 0 ? i % 17 : (i * 7919) % NANO.vocabulary))
const targets = Int32Array.from(ids, (_, i) => ids[(i + 1) % rows])
const recipe = { ...DEFAULT_RECIPE, steps: 1000, learningRate: 1e-3, weightDecay: 0, maxNorm: 0 }

interface Contestant {
  readonly name: string
  readonly device: string
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
    device: engine.device,
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
    name: 'plain tfjs (tf.grads)',
    device: engine.device,
    intermediateBytes: null,
    dispatches: () => engine.tfjsOps(),
    async step() {
      await engine.finish()
      return plain.step(ids, targets)
    },
    dispose: () => plain.dispose(),
  }
}

async function measure(contestants: readonly Contestant[], steps: number) {
  const results = []
  for (const contestant of contestants) {
    const losses: number[] = []
    const laps: Lap[] = []
    let dispatches = 0
    for (let index = 1; index <= steps + 1; index++) {
      const before = contestant.dispatches()
      const lap = startClocks()
      losses.push(await contestant.step(index))
      laps.push(lap())
      dispatches = contestant.dispatches() - before
      const { wallMs, cpuMs } = laps.at(-1)!
      log(
        `${contestant.name} on ${contestant.device}: ${wallMs.toFixed(0)} ms, processor ${cpuMs.toFixed(0)} ms, loss ${losses.at(-1)!.toFixed(4)}`,
      )
    }
    contestant.dispose()
    const { wallMs, cpuMs } = medianLap(laps.slice(1))
    results.push({
      contestant: contestant.name,
      device: contestant.device,
      steps,
      tokensPerSecond: (rows * 1000) / wallMs,
      tokensPerCpuSecond: (rows * 1000) / cpuMs,
      firstStepMs: laps[0].wallMs,
      firstLoss: losses[0],
      lastLoss: losses.at(-1)!,
      dispatches,
      intermediateBytes: contestant.intermediateBytes,
    })
  }
  for (const { contestant, firstLoss, lastLoss } of results) {
    if (
      !(
        Math.abs(firstLoss - results[0].firstLoss) <= 1e-3 && Math.abs(lastLoss - results[0].lastLoss) <= 1e-2
      )
    )
      throw new Error(
        `${contestant} goes from ${firstLoss} to ${lastLoss}, the first from ${results[0].firstLoss} to ${results[0].lastLoss}: not the same work`,
      )
  }
  return results
}

async function bench() {
  const steps = Number(options.steps)
  if (!Number.isInteger(steps) || steps < 1) throw new RangeError('--steps takes a whole number above 0')
  const { backend } = options
  if (backend !== undefined && backend !== 'webgpu' && backend !== 'wasm')
    throw new RangeError('--backend takes webgpu or wasm')
  const results = []
  if (backend !== 'wasm') {
    const webgpu = await openWebgpu(options.software, log)
    if (webgpu) {
      const contestants = [await ownContestant(webgpu.plan)]
      if (!options.own) contestants.push(await plainContestant(webgpu.plain))
      results.push(...(await measure(contestants, steps)))
    }
  }
  if (backend !== 'webgpu') {
    const wasm = await createNodeEngine({ backend: 'wasm' })
    const contestants = [await ownContestant(wasm)]
    if (!options.own) contestants.push(await plainContestant(wasm))
    results.push(...(await measure(contestants, steps)))
    await wasm.dispose()
  }
  return {
    date: new Date().toISOString(),
    cpu: `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
    loadAverage: loadavg()[0],
    node: process.version,
    tfjs: tf.version_core,
    model: NANO,
    results,
  }
}

await reportAndExit(bench, { json: options.json, log })
