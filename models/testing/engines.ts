/**
 * The engines that engine tests run on: the same cases on each, so that one executor is held to what another
 * does. `ONEROUND_TEST_GPU=none` (set where no adapter was found) leaves WebGPU out.
 */
import type { BackendName, Engine, ExecutorName } from '../backend/engine.ts'
import { createNodeEngine, openNodeGpuDevice } from '../backend/node.ts'
import { createPlanEngine } from '../plan/plan-engine.ts'

export interface TestEngine {
  readonly label: string
  /** A software adapter takes seconds for each of its kernels: outside the full tests a few of the cases are enough. */
  readonly compilesSlowly?: true
  readonly backend: BackendName
  readonly executor: ExecutorName
  open(): Promise<Engine>
}

const full = process.env.ONEROUND_FULL === '1'

const eager = (backend: 'cpu' | 'wasm'): TestEngine => ({
  label: `${backend} (eager)`,
  backend,
  executor: 'eager',
  open: () => createNodeEngine({ backend }),
})

type Kernels = 'direct' | 'subgroup' | 'workgroup'

/** Every way of writing the hot kernels, whichever suits the adapter: a GPU takes those that this machine would not. */
const plan = (kernels: Kernels): TestEngine => ({
  label: `webgpu (plan, ${kernels} kernels)`,
  ...(kernels === 'workgroup' && !full && { compilesSlowly: true }),
  backend: 'webgpu',
  executor: 'plan',
  open: async () => {
    const style = kernels === 'workgroup' ? 'workgroup' : 'direct'
    const engine = createPlanEngine({
      ...(await openNodeGpuDevice()),
      style,
      subgroups: kernels === 'subgroup',
    })
    if (kernels === 'subgroup' && engine.subgroupLanes === 0)
      console.warn(`Subgroup kernels are not tested: ${engine.device} has no subgroups of 4 or more.`)
    return engine
  },
})

/**
 * Every engine present. A software adapter needs a minute or more to compile a whole model's kernels in the
 * workgroup style, so tests of models take one way of plan; the full tests (ONEROUND_FULL=1) take all, also the plain `direct`
 * kernels, which elsewhere only sizes that fit no other way are left to.
 */
export function engines(kernels: 'both' | 'one' = 'both'): TestEngine[] {
  const present = [eager('cpu'), eager('wasm')]
  if (process.env.ONEROUND_TEST_GPU !== 'none') {
    present.push(plan('subgroup'))
    if (kernels !== 'one' || full) present.push(plan('workgroup'))
    if (full) present.push(plan('direct'))
  }
  return present
}

/** One engine an executor, for what is too slow in plain JavaScript; the full tests take every engine. */
export function representativeEngines(): TestEngine[] {
  return engines('one').filter(({ backend }) => full || backend !== 'cpu')
}
