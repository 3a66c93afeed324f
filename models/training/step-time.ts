/**
 * How long a step of training takes on this device: the very run that training would be, on the same examples and
 * shapes, broken off after a few steps. Nothing of it is kept, and the run itself is not touched.
 */
import { TrainControl } from './control.ts'
import type { Example } from './model.ts'
import { type TrainOptions, train } from './trainer.ts'

/** The first step also compiles. Where it took so long, that hardly shows, and a second would keep somebody waiting. */
const LONG_STEP_MS = 4000

/** Seconds a step; null where `options.control` stopped it before there was one. Throws what `train` throws. */
export async function measureStepSeconds<E extends Example>(
  options: Omit<TrainOptions<E>, 'heldOut' | 'checkpoints' | 'resume'>,
): Promise<number | null> {
  const control = options.control ?? new TrainControl()
  const run = train({ ...options, control, heldOut: [] })
  try {
    const began = performance.now()
    const first = await run.next()
    if (first.done) return null
    const warmedUp = performance.now()
    if (warmedUp - began >= LONG_STEP_MS || options.recipe.steps === 1) return (warmedUp - began) / 1000
    const second = await run.next()
    if (second.done) return null
    return (performance.now() - warmedUp) / 1000 / (second.value.step - first.value.step)
  } finally {
    // Runs the generator's own clearing up, whatever came before.
    control.stop()
    while (!(await run.next()).done);
  }
}
