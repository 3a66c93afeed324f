/**
 * The Llama family on every engine against PyTorch, transformers and PEFT: hidden states, logits, losses, the
 * gradient of every A and B, and ten AdamW steps.
 */

import { afterAll, beforeAll, describe, it, vi } from 'vitest'
import { fixtures } from '../testing/fixtures.ts'
import { loadLlama } from '../testing/llama.ts'
import { nanoCases } from '../testing/llama-fixtures.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import { expectHeld } from '../testing/tolerances.ts'
import type { LlamaModel } from './model.ts'

/** A software adapter compiles the kernels of a whole step in tens of seconds when the machine is busy. */
vi.setConfig({ testTimeout: 120_000 })

onEveryEngine(
  'llama',
  (engine) => {
    describe.each(['nano', 'nano-untied'] as const)('%s', (name) => {
      let model: LlamaModel

      beforeAll(() => {
        model = loadLlama(engine(), fixtures.modelFiles(name)).model
      })

      afterAll(() => model.dispose())

      it.each(Object.entries(nanoCases(name)))('%s', async (_, run) => {
        expectHeld(await run({ model, fixtures }))
      })
    })
  },
  'one',
)
