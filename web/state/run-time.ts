/**
 * How long training will take, measured before it begins: a few of its steps and one pass over the held-out part, on
 * this device, while the person reads the plan. Whoever starts meanwhile waits for the step at hand and no more.
 */
import { computed, effect, signal } from '@preact/signals'
import type { At } from './machine.ts'
import { roundState } from './machine.ts'
import { evaluationSeconds, measure } from './measuring.ts'
import { toProblem } from './problems.ts'
import { sessionKey } from './session.ts'
import { dataReport, manifest, measured, plannedSteps, problem, unmeasured } from './store.ts'
import { inWorker, isDeviceProblem, loseDevice } from './worker-client.ts'

const stepSeconds = signal<number | null>(null)
export const timing = signal(false)

/** Seconds of the whole run at full pace; null until it is measured. */
export const runSeconds = computed(() => {
  const [step, evaluation] = [stepSeconds.value, evaluationSeconds.value]
  const recipe = manifest.value?.recipe
  if (step === null || evaluation === null || !recipe) return null
  const steps = plannedSteps.value
  // Before the first step, now and then, and at the end.
  const evaluations = 1 + Math.ceil(steps / recipe.evaluateEvery)
  return steps * step + evaluations * evaluation
})

// Other data are other batches, and another held-out part.
effect(() => {
  dataReport.value
  stepSeconds.value = null
  measured.base.value = unmeasured
})

let measuring: Promise<void> = Promise.resolve()
const MEASURED_AT: readonly At[] = ['ready']

effect(() => {
  if (MEASURED_AT.includes(roundState.value.at) && dataReport.value !== null)
    measuring = measuring.then(measureRun)
})

/** Before something else gets the device. */
export async function stopTiming(): Promise<void> {
  if (timing.peek()) await inWorker((api) => api.stopMeasuring())
  await measuring
}

async function measureRun(): Promise<void> {
  const room = manifest.peek()
  const isWanted = () => MEASURED_AT.includes(roundState.peek().at)
  if (!room || !isWanted() || stepSeconds.peek() !== null) return
  timing.value = true
  try {
    await measure('base')
    if (!isWanted()) return
    const options = { manifest: room, steps: plannedSteps.peek(), sessionKey: sessionKey() }
    stepSeconds.value = await inWorker((api) => api.measureStep(options))
  } catch (error) {
    const found = toProblem(error)
    if (isDeviceProblem(found)) loseDevice(found)
    else problem.value = found
  } finally {
    timing.value = false
  }
}
