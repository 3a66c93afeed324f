/** The page's end of the worker: started when first needed, replaced when its device is lost. */
import { proxy, type Remote, wrap } from 'comlink'
import { lost } from '../strings/dead-ends.ts'
import { problems } from '../strings/problems.ts'
import type { ModelWorker } from '../worker/api.ts'
import { move, originsOf, type Problem } from './machine.ts'
import { PageError } from './problems.ts'

interface Running {
  readonly worker: Worker
  readonly api: Remote<ModelWorker>
  /** Rejects when the worker ends by itself: calls to it would then wait for ever. */
  readonly ended: Promise<never>
}

let running: Running | null = null

function start(): Running {
  const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), { type: 'module' })
  const ended = new Promise<never>((_, reject) => {
    worker.addEventListener('error', (event) => {
      event.preventDefault()
      const problem = problemOf(event)
      if (running?.worker === worker) {
        // There is no device to lose, and another try ends the same.
        if (problem.code === 'worker/no-modules') stopWorker()
        else loseDevice(problem)
      }
      reject(new PageError(problem.code, problem.message))
    })
  })
  ended.catch(() => {})
  return { worker, api: wrap<ModelWorker>(worker), ended }
}

function problemOf({ message }: ErrorEvent): Problem {
  // An error before the module has run has no message: its file did not load.
  if (!message) return { code: 'worker/missing', message: problems.workerMissing }
  // As a classic script, which is what it then was, the file ends at its first import.
  if (!takesModules()) return { code: 'worker/no-modules', message: problems.workerNoModules }
  return { code: 'worker/stopped', message: lost.workerStopped }
}

/** A browser that knows of module workers asks for the type. */
function takesModules(): boolean {
  let asked = false
  const options = {
    get type() {
      asked = true
      return 'module' as const
    },
  }
  const address = URL.createObjectURL(new Blob([], { type: 'text/javascript' }))
  new Worker(address, options).terminate()
  URL.revokeObjectURL(address)
  return asked
}

/** Runs one call in the worker; fails when the worker ends first. */
export function inWorker<T>(call: (api: Remote<ModelWorker>) => Promise<T>): Promise<T> {
  running ??= start()
  return Promise.race([call(running.api), running.ended])
}

/** Ends the worker and everything on its device. */
export function stopWorker(): void {
  running?.worker.terminate()
  running = null
}

/** From any state that needs the device; elsewhere the loss is found when the device is next opened. */
export function loseDevice(problem: Problem): void {
  if (move(originsOf('lost') as 'training'[], { at: 'lost', problem })) stopWorker()
}

export const isDeviceProblem = (problem: Problem) =>
  problem.code.startsWith('device/') || problem.code.startsWith('worker/')

/** A function of the page that the worker may call. */
export const callback = <F extends (...given: never[]) => unknown>(handler: F) => proxy(handler)
