/** The two ways of one training step: through this project's engine, and as plain tfjs ops. */
import { initialAdapter } from '../models/adapters/initial.ts'
import type { Engine } from '../models/backend/engine.ts'
import { llamaModules } from '../models/llama/modules.ts'
import { PlanEngine } from '../models/plan/plan-engine.ts'
import type { TextExample } from '../models/text/windows.ts'
import { placeAdapter } from '../models/training/engine-adapter.ts'
import { DEFAULT_RECIPE } from '../models/training/recipe.ts'
import { hyperParameters } from '../models/training/schedule.ts'
import { TrainingStep } from '../models/training/step.ts'
import { type Place, placeOf } from './conditions.ts'
import type { SubmitMeter } from './devices.ts'
import type { BenchModel } from './models.ts'
import { plainTraining } from './plain/training-step.ts'
import { type Lap, startClocks } from './timing.ts'

export const PLAIN = 'plain tfjs (tf.grads)'
export const RANK = 8
export const ALPHA = 16
const SEED = 'bench'

export interface StepShape {
  readonly batch: number
  readonly tokens: number
}

export interface Reading extends Lap {
  readonly loss: number
  /** Until the call came back to the host: everything is encoded and submitted. */
  readonly hostMs: number
  /** Inside the queue's own calls. */
  readonly submitMs: number
  readonly dispatches: number
}

export interface Contestant {
  readonly name: string
  readonly place: Place
  readonly engine: Engine
  readonly planBytes: number | null
  step(index: number): Promise<Reading>
  dispose(): void
}

const recipe = { ...DEFAULT_RECIPE, steps: 1000 }

const initial = ({ config }: BenchModel) =>
  initialAdapter({ rank: RANK, alpha: ALPHA, modules: llamaModules(config) }, SEED)

/** The same text every step: what is measured is speed, and a loss that falls shows that it trains. */
function windows({ config }: BenchModel, { batch, tokens }: StepShape): TextExample[] {
  return Array.from({ length: batch }, (_, row) => ({
    ids: Int32Array.from(
      { length: tokens + 1 },
      (_, t) => (row * 131 + t * 17 + ((t * t) % 7)) % config.vocabularySize,
    ),
    counts: new Uint8Array(tokens).fill(1),
    counted: tokens,
  }))
}

export async function ownContestant(
  engine: Engine,
  model: BenchModel,
  shape: StepShape,
  meter?: SubmitMeter,
): Promise<Contestant> {
  const loaded = await model.load(engine)
  const before = engine.memory().bytes
  const placed = placeAdapter(engine, initial(model))
  const step = await TrainingStep.create(loaded.model, placed, shape)
  const batch = loaded.model.collate(windows(model, shape), shape)
  const isPlan = engine instanceof PlanEngine
  return {
    name: `oneround (${engine.executor})`,
    place: placeOf(engine),
    engine,
    planBytes: isPlan ? engine.memory().bytes - before : null,
    step: (index) =>
      read(
        () => step.runAndRead(batch, hyperParameters(recipe, index)).then(({ loss }) => loss),
        () => (isPlan ? engine.dispatches : engine.tfjsOps()),
        meter,
      ),
    dispose() {
      step.dispose()
      placed.dispose()
      loaded.dispose()
    },
  }
}

export async function plainContestant(
  engine: Engine,
  model: BenchModel,
  shape: StepShape,
  meter?: SubmitMeter,
): Promise<Contestant> {
  // Makes the engine's backend tfjs's current one.
  await engine.finish()
  const { modules } = initial(model)
  const plain = plainTraining(model.config, await model.unpacked(), (module) => modules.get(module)!.a, {
    ...shape,
    rank: RANK,
    alpha: ALPHA,
    learningRate: recipe.learningRate,
  })
  const rows = windows(model, shape)
  const ids = Int32Array.from(rows.flatMap(({ ids }) => [...ids.subarray(0, shape.tokens)]))
  const targets = Int32Array.from(rows.flatMap(({ ids }) => [...ids.subarray(1)]))
  return {
    name: PLAIN,
    place: placeOf(engine, 'tfjs'),
    engine,
    planBytes: null,
    async step() {
      await engine.finish()
      return read(
        () => plain.step(ids, targets),
        () => engine.tfjsOps(),
        meter,
      )
    },
    dispose: () => plain.dispose(),
  }
}

/** Both contestants do all of the host's work before the call first waits. */
async function read(
  run: () => Promise<number>,
  counted: () => number,
  meter: SubmitMeter | undefined,
): Promise<Reading> {
  const dispatches = counted()
  const submitted = meter?.submitMs() ?? 0
  const lap = startClocks()
  const running = run()
  const hostMs = lap().wallMs
  const submitMs = (meter?.submitMs() ?? 0) - submitted
  const loss = await running
  return { ...lap(), loss, hostMs, submitMs, dispatches: counted() - dispatches }
}
