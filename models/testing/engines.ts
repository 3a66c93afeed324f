/**
 * The engines that engine tests run on: the same cases on each, so that one executor is held to what another
 * does. `ONEROUND_TEST_GPU=none` (set where no adapter was found) leaves WebGPU out.
 */
import type { BackendName, Engine, ExecutorName } from '../backend/engine.ts'
import { createNodeEngine, openNodeGpuDevice } from '../backend/node.ts'
import { createPlanEngine } from '../plan/plan-engine.ts'

export interface TestEngine {
  readonly label: string
  readonly backend: BackendName
  readonly executor: ExecutorName
  open(): Promise<Engine>
}

const eager = (backend: 'cpu' | 'wasm'): TestEngine => ({
  label: `${backend} (eager)`,
  backend,
  executor: 'eager',
  open: () => createNodeEngine({ backend }),
})

/** Both ways of writing the hot kernels, whichever suits the adapter: a GPU takes the one that this machine would not. */
const plan = (style: 'direct' | 'workgroup'): TestEngine => ({
  label: `webgpu (plan, ${style} kernels)`,
  backend: 'webgpu',
  executor: 'plan',
  open: async () => createPlanEngine({ ...(await openNodeGpuDevice()), style }),
})

export function engines(): TestEngine[] {
  const present = [eager('cpu'), eager('wasm')]
  if (process.env.ONEROUND_TEST_GPU !== 'none') present.push(plan('direct'), plan('workgroup'))
  return present
}

/**
 * One engine an executor, for tests of what stands on the engines: wasm and one style of plan. The full tests
 * (ONEROUND_FULL=1) take all of them. A software adapter can need a minute to compile a training step in the
 * other style, and plain JavaScript to run the embedded model.
 */
export function representativeEngines(): TestEngine[] {
  if (process.env.ONEROUND_FULL === '1') return engines()
  const present = engines()
  return [
    present.find(({ backend }) => backend === 'wasm'),
    present.find(({ executor }) => executor === 'plan'),
  ].filter((one) => one !== undefined)
}
