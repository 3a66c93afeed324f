/** A describe block for each engine present, with the engine opened before its tests and closed after. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../backend/engine.ts'
import { engines, type TestEngine } from './engines.ts'

export function onEveryEngine(
  subject: string,
  tests: (engine: () => Engine, present: TestEngine) => void,
): void {
  describe.each(engines())(`${subject} on $label`, (present) => {
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
