/**
 * Tokens a second of one LoRA training step of the embedded model (r 8, all seven projections, AdamW), on each
 * engine present and, on the same backend and device, as plain tfjs ops. The contestants take turns, so that a
 * machine whose speed drifts treats them alike, and their losses are compared: it must be the same work.
 */
import { initialAdapter } from '../models/adapters/initial.ts'
import type { Engine } from '../models/backend/engine.ts'
import type { TensorSource } from '../models/families/placing.ts'
import { parseSafetensors, toFloat32 } from '../models/formats/safetensors.ts'
import { parseLlamaConfig } from '../models/llama/config.ts'
import { LlamaModel } from '../models/llama/model.ts'
import { llamaModules } from '../models/llama/modules.ts'
import { placeAdapter } from '../models/training/engine-adapter.ts'
import { DEFAULT_RECIPE } from '../models/training/recipe.ts'
import { hyperParameters } from '../models/training/schedule.ts'
import { TrainingStep } from '../models/training/step.ts'
import type { TextExample } from '../models/training/windows.ts'
import { plainModel } from './plain-tfjs.ts'

export interface StepResult {
  readonly contestant: string
  readonly device: string
  readonly batch: number
  readonly tokens: number
  readonly steps: number
  /** Median over the steps after the first. */
  readonly tokensPerSecond: number
  /** The first step, in which kernels are compiled. */
  readonly firstStepMs: number
  readonly firstLoss: number
  readonly lastLoss: number
  readonly dispatches: number
  readonly intermediateBytes: number
}

export interface StepBench {
  readonly batch: number
  readonly tokens: number
  readonly steps: number
}

interface Contestant {
  readonly name: string
  readonly device: string
  step(index: number): Promise<number>
  stats(): { dispatches: number; intermediateBytes: number }
  dispose(): void
}

const RANK = 8
const ALPHA = 16
const SEED = 'bench'

/** Both forms of the step on one engine; the plain one runs on whatever tfjs backend is current. */
export async function benchTrainingStep(
  engines: readonly Engine[],
  plainDevice: string | null,
  files: ReadonlyMap<string, Uint8Array>,
  bench: StepBench,
  progress: (line: string) => void,
): Promise<StepResult[]> {
  const config = parseLlamaConfig(JSON.parse(new TextDecoder().decode(files.get('config.json')!)))
  const { tensors } = parseSafetensors(files.get('model.safetensors')!)
  const source: TensorSource = (name) => {
    const tensor = tensors.get(name)
    return tensor && { shape: tensor.shape, values: toFloat32(tensor) }
  }
  const initial = initialAdapter({ rank: RANK, alpha: ALPHA, modules: llamaModules(config) }, SEED)
  const { batch, tokens, steps } = bench
  const recipe = { ...DEFAULT_RECIPE, batch, tokens, steps: steps * 100 }
  // The same text every step: what is measured is speed, and a loss that falls shows that it trains.
  const windows = Array.from({ length: batch }, (_, row): TextExample => {
    const ids = Int32Array.from(
      { length: tokens + 1 },
      (_, t) => (row * 131 + t * 17 + ((t * t) % 7)) % config.vocabularySize,
    )
    return { ids, counts: new Uint8Array(tokens).fill(1), counted: tokens }
  })

  const contestants: Contestant[] = []
  for (const engine of engines) {
    const model = new LlamaModel(engine, config, source)
    const placed = placeAdapter(engine, initial)
    const step = await TrainingStep.create(model, placed, { batch, tokens })
    const { inputs, counted, processed } = model.collate(windows, { batch, tokens })
    contestants.push({
      name: `oneround ${engine.backend} (${engine.executor})`,
      device: engine.device,
      step: async (index) =>
        (await step.runAndRead({ inputs, counted, processed }, hyperParameters(recipe, index))).loss,
      stats: () => step.stats,
      dispose() {
        step.dispose()
        placed.dispose()
        model.dispose()
      },
    })
  }
  if (plainDevice !== null) {
    const plain = plainModel(config, source, (module) => initial.modules.get(module)!.a, {
      batch,
      tokens,
      rank: RANK,
      alpha: ALPHA,
      learningRate: recipe.learningRate,
    })
    const ids = Int32Array.from(windows.flatMap(({ ids }) => [...ids.subarray(0, tokens)]))
    const targets = Int32Array.from(windows.flatMap(({ ids }) => [...ids.subarray(1)]))
    contestants.push({
      name: 'plain tfjs (tf.grads)',
      device: plainDevice,
      step: () => plain.step(ids, targets),
      stats: () => ({ dispatches: 0, intermediateBytes: 0 }),
      dispose: () => plain.dispose(),
    })
  }

  const timings = contestants.map(() => [] as number[])
  const losses = contestants.map(() => [] as number[])
  for (let index = 1; index <= steps + 1; index++) {
    for (const [which, contestant] of contestants.entries()) {
      const start = performance.now()
      const loss = await contestant.step(index)
      timings[which].push(performance.now() - start)
      losses[which].push(loss)
      progress(`${contestant.name}: step ${index} of ${steps + 1}, ${timings[which].at(-1)!.toFixed(0)} ms`)
    }
  }
  const results = contestants.map((contestant, which): StepResult => {
    const sorted = timings[which].slice(1).sort((a, b) => a - b)
    const median = sorted[Math.floor(sorted.length / 2)]
    return {
      contestant: contestant.name,
      device: contestant.device,
      batch,
      tokens,
      steps,
      tokensPerSecond: (batch * tokens * 1000) / median,
      firstStepMs: timings[which][0],
      firstLoss: losses[which][0],
      lastLoss: losses[which].at(-1)!,
      ...contestant.stats(),
    }
  })
  for (const contestant of contestants) contestant.dispose()
  for (const { contestant, firstLoss } of results) {
    if (Math.abs(firstLoss - results[0].firstLoss) > 1e-3) {
      throw new Error(
        `${contestant} starts at a loss of ${firstLoss}, not ${results[0].firstLoss}: not the same work`,
      )
    }
  }
  return results
}
