/**
 * The engines that engine tests run on: the same cases on each, so that one executor is held to what another
 * does. `ONEROUND_TEST_GPU=none` (set where no adapter was found) leaves WebGPU out.
 */
import type { BackendName, Engine, ExecutorName } from '../backend/engine.ts'
import { createNodeEngine } from '../backend/node.ts'

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

const plan: TestEngine = {
  label: 'webgpu (plan)',
  backend: 'webgpu',
  executor: 'plan',
  open: () => createNodeEngine({ backend: 'webgpu' }),
}

export function engines(): TestEngine[] {
  const present = [eager('cpu'), eager('wasm')]
  if (process.env.ONEROUND_TEST_GPU !== 'none') present.push(plan)
  return present
}
