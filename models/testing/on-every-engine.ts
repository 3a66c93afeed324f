/** A describe block for each engine present, with the engine opened before its tests and closed after. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../backend/engine.ts'
import { engines, representativeEngines, type TestEngine } from './engines.ts'

type EngineTests = (engine: () => Engine, present: TestEngine) => void

export function onEveryEngine(subject: string, tests: EngineTests, kernels?: 'both' | 'one'): void {
  onEngines(engines(kernels), subject, tests)
}

/** The same on one engine an executor. */
export function onEveryExecutor(subject: string, tests: EngineTests): void {
  onEngines(representativeEngines(), subject, tests)
}

function onEngines(present: readonly TestEngine[], subject: string, tests: EngineTests): void {
  describe.each(present)(`${subject} on $label`, (present) => {
    let engine: Engine | undefined

    beforeAll(async () => {
      engine = await present.open()
    })

    afterAll(async () => {
      await engine?.dispose()
    })

    it('runs on the backend and executor it says', () => {
      expect([engine?.backend, engine?.executor]).toEqual([present.backend, present.executor])
    })

    tests(() => engine!, present)
  })
}
