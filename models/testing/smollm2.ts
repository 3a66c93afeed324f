/**
 * The SmolLM2 file that some tests need and the repository does not hold: 98 MB, named by ONEROUND_SMOLLM2 (see
 * models/fixtures/smollm2-135m/README.md). Without it they are skipped, and say so.
 */

import { existsSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../backend/engine.ts'
import type { ByteSource } from '../formats/byte-source.ts'
import { PlanEngine } from '../plan/plan-engine.ts'
import { engines, type TestEngine } from './engines.ts'
import { type LoadedLlama, streamLlama } from './llama.ts'

export const SMOLLM2_PATH = process.env.ONEROUND_SMOLLM2 ?? ''

/** Why there is nothing to test, or null. */
export const smolLm2Missing =
  SMOLLM2_PATH === ''
    ? 'ONEROUND_SMOLLM2 does not name the GGUF file of SmolLM2-135M-Instruct'
    : existsSync(SMOLLM2_PATH)
      ? null
      : `ONEROUND_SMOLLM2 names ${SMOLLM2_PATH}, and there is no such file`

/** A training step on a software adapter takes minutes. */
export const PATIENCE_MS = 900_000

/** Describes tests of the real model, given its file. */
export function withSmolLm2(title: string, tests: (source: ByteSource) => void): void {
  if (smolLm2Missing) console.warn(`Skipped: ${title}. ${smolLm2Missing}.`)
  describe.skipIf(smolLm2Missing)(title, () => {
    let file: FileHandle
    beforeAll(async () => {
      file = await open(SMOLLM2_PATH)
    })
    afterAll(() => file.close())
    tests({
      bytes: smolLm2Missing ? 0 : statSync(SMOLLM2_PATH).size,
      async read(offset, length) {
        const piece = new Uint8Array(length)
        const { bytesRead } = await file.read(piece, 0, length, offset)
        return piece.subarray(0, bytesRead)
      },
    })
  })
}

export interface RunningSmolLm2 extends LoadedLlama {
  readonly engine: Engine
}

/**
 * The same on each engine that is quick enough, the model loaded on it: not in plain JavaScript, which would take
 * hours, and not through workgroup memory on SwiftShader, which takes ten times as long as in registers.
 */
export function onSmolLm2(
  title: string,
  tests: (running: () => RunningSmolLm2, present: TestEngine, source: ByteSource) => void,
): void {
  const slow = process.env.ONEROUND_TEST_GPU === 'swiftshader'
  const present = engines('one').filter(
    ({ backend, label }) => backend !== 'cpu' && !(slow && label.includes('workgroup')),
  )
  withSmolLm2(title, (source) =>
    describe.each(present)('on $label', (one) => {
      let running: RunningSmolLm2 | undefined

      beforeAll(async () => {
        const engine = await one.open()
        running = { engine, ...(await streamLlama(engine, source)) }
      }, PATIENCE_MS)

      afterAll(async () => {
        running?.dispose()
        await running?.engine.dispose()
      })

      tests(() => running!, one, source)

      // Last, after the others have run.
      it('ran where it says', () => {
        const { engine } = running!
        expect([engine.backend, engine.executor]).toEqual([one.backend, one.executor])
        if (one.executor === 'plan') {
          expect(engine).toBeInstanceOf(PlanEngine)
          expect((engine as PlanEngine).dispatches).toBeGreaterThan(0)
          expect(engine.tfjsOps()).toBe(0)
        } else {
          expect(engine.tfjsOps()).toBeGreaterThan(0)
        }
      })
    }),
  )
}
