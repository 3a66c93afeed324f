/**
 * `npm run -s bench -- --json`: the training step on the device at hand, against plain tfjs on the same backend,
 * in one run. Speeds on software adapters mean nothing by themselves; ratios within a run do.
 *
 * --batch N --tokens N --steps N   the step's shape and how many are timed (default 4 x 128, 5)
 * --backend webgpu|wasm            one backend only (default: both)
 * --software                       WebGPU on a software adapter, where there is no GPU (Linux)
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type { Engine } from '../models/backend/engine.ts'
import { createNodeEngine, openNodeGpuDevice } from '../models/backend/node.ts'
import { createPlanEngine } from '../models/plan/plan-engine.ts'
import { findSoftwareGpu } from '../scripts/software-gpu.ts'
import { benchTrainingStep, type StepResult } from './training-step.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    batch: { type: 'string', default: '4' },
    tokens: { type: 'string', default: '128' },
    steps: { type: 'string', default: '5' },
    backend: { type: 'string' },
    software: { type: 'boolean', default: false },
  },
})
const whole = (name: 'batch' | 'tokens' | 'steps') => {
  const number = Number(options[name])
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${name} takes a whole number above 0`)
  return number
}
const shape = { batch: whole('batch'), tokens: whole('tokens'), steps: whole('steps') }
const log = (line: string) => process.stderr.write(`${line}\n`)

const folder = new URL('../models/catalog/tiny/', import.meta.url)
const files = new Map<string, Uint8Array>()
for (const name of ['config.json', 'model.safetensors'])
  files.set(name, await readFile(new URL(name, folder)))

const results: StepResult[] = []
if (options.backend === undefined || options.backend === 'wasm') {
  const engine: Engine = await createNodeEngine({ backend: 'wasm' })
  results.push(...(await benchTrainingStep([engine], engine.device, files, shape, log)))
  await engine.dispose()
}
if (options.backend === undefined || options.backend === 'webgpu') {
  if (options.software) {
    const gpu = await findSoftwareGpu('benches')
    if (gpu) Object.assign(process.env, gpu.environment)
  }
  const adapter = await openNodeGpuDevice().catch((error: Error) => {
    log(`No WebGPU here: ${error.message}`)
    return null
  })
  if (adapter) {
    // tfjs-webgpu takes only a browser for one that has WebGPU; it is given our device and asks these for nothing.
    Object.defineProperty(globalThis, 'navigator', { value: { gpu: {} }, configurable: true })
    Object.assign(globalThis, { WorkerGlobalScope: Object })
    // Imported now: it reads WebGPU's global constants when it loads, and Node has them from here on.
    const { createTfjsWebgpuEngine } = await import('../models/backend/tfjs-webgpu.ts')
    // Two devices on one adapter: tfjs's for the plain step, ours for the plan.
    const plan = createPlanEngine(adapter)
    const plain = await createTfjsWebgpuEngine(await openNodeGpuDevice())
    results.push(...(await benchTrainingStep([plan], plain.device, files, shape, log)))
    await plan.dispose()
    await plain.dispose()
  }
}

const report = {
  cpu: `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
  node: process.version,
  tfjs: tf.version_core,
  model: 'tiny (2.0M parameters), LoRA r 8 on all seven projections',
  trainingStep: results,
}
if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
else {
  log(`${report.cpu}, Node ${report.node}, tfjs ${report.tfjs}; ${report.model}`)
  for (const result of results) {
    log(
      `${result.contestant.padEnd(28)} ${result.tokensPerSecond.toFixed(0).padStart(7)} tokens/s, first step ${(result.firstStepMs / 1000).toFixed(1)} s, loss ${result.firstLoss.toFixed(4)} -> ${result.lastLoss.toFixed(4)}  on ${result.device}`,
    )
  }
}
process.exit(0)
