/**
 * The diffusion transformer on every engine against PyTorch and PEFT: hidden states, velocity, loss, gradients of
 * every A and B (with the modulation's too), ten AdamW steps and sampled pictures.
 */
import { afterAll, beforeAll, describe, it, vi } from 'vitest'
import { diffusionCases, openDiffusionFixture } from '../testing/diffusion-fixtures.ts'
import { fixtures } from '../testing/fixtures.ts'
import { onEveryEngine, onEveryExecutor } from '../testing/on-every-engine.ts'
import { expectHeld } from '../testing/tolerances.ts'
import type { DiffusionModel } from './model.ts'

/** A software adapter compiles the kernels of a whole step in tens of seconds when the machine is busy. */
vi.setConfig({ testTimeout: 240_000 })

onEveryEngine(
  'a small diffusion transformer',
  (engine) => {
    let model: DiffusionModel
    beforeAll(() => {
      model = openDiffusionFixture(engine(), fixtures, 'emoji-dit-nano')
    })
    afterAll(() => model.dispose())

    it.each(Object.entries(diffusionCases('emoji-dit-nano')))('%s', async (_, run) => {
      expectHeld(await run({ model, fixtures }))
    })
  },
  'one',
)

onEveryExecutor('the embedded text-to-image model', (engine, { executor }) => {
  // A software adapter takes minutes over it: there it is one of the full tests.
  describe.runIf(executor === 'eager' || process.env.ONEROUND_FULL === '1')('emoji-dit', () => {
    let model: DiffusionModel
    beforeAll(() => {
      model = openDiffusionFixture(engine(), fixtures, 'emoji-dit')
    })
    afterAll(() => model.dispose())

    it.each(Object.entries(diffusionCases('emoji-dit')))('%s', async (_, run) => {
      expectHeld(await run({ model, fixtures }))
    })
  })
})
