/**
 * A Llama whose matrices stay packed says the same as the same model in float32: states, loss and the gradients of
 * its factors, on either executor. And on the GPU it takes what its file takes.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { PackedTensor } from '../plan/packed-tensor.ts'
import { expectNear, expectWithin } from '../testing/close.ts'
import { fixtureBytes, fixtures, fixtureTensors, modelFiles } from '../testing/fixtures.ts'
import { examplesOf, loadLlama, lossAndGradients, states } from '../testing/llama.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import type { LlamaModel } from './model.ts'

/** Of the largest entry: the weights are the same numbers, only the order of sums may differ. */
const SAME = 1e-5
const PATIENCE_MS = 120_000
vi.setConfig({ testTimeout: PATIENCE_MS })

onEveryEngine(
  'a packed model',
  (engine) => {
    const file = fixtureBytes('gguf/nano-mixed.gguf')
    let packed: LlamaModel
    let plain: LlamaModel
    let packedBytes: number

    beforeAll(() => {
      const before = engine().memory().bytes
      packed = loadLlama(engine(), new Map([['nano-mixed.gguf', file]])).model
      packedBytes = engine().memory().bytes - before
      const folder = new Map(modelFiles('nano'))
      folder.set('model.safetensors', fixtureBytes('gguf/nano-mixed.safetensors'))
      plain = loadLlama(engine(), folder).model
    })

    afterAll(() => {
      packed.dispose()
      plain.dispose()
    })

    it('logits and hidden states', async () => {
      const forward = fixtureTensors('nano/forward.safetensors')
      const shape = { batch: 2, tokens: 17 }
      const found = await states(packed, forward('input_ids'), shape, null)
      const expected = await states(plain, forward('input_ids'), shape, null)
      expectNear(found.logits, expected.logits, SAME, 'logits')
      found.hidden.forEach((state, i) => {
        expectNear(state, expected.hidden[i], SAME, `hidden ${i}`)
      })
    })

    it('loss and gradients', async () => {
      const masked = fixtureTensors('nano/loss.safetensors')
      const examples = examplesOf(masked('input_ids'), masked('labels'), 2)
      const shape = { batch: 2, tokens: 16 }
      const adapter = fixtures.adapter('nano/lora')
      const found = await lossAndGradients(packed, examples, shape, adapter)
      const expected = await lossAndGradients(plain, examples, shape, adapter)
      expectWithin([found.loss], [expected.loss], SAME, 'loss')
      expect([...found.gradients.keys()]).toEqual([...expected.gradients.keys()])
      for (const [name, gradient] of expected.gradients)
        expectNear(found.gradients.get(name)!, gradient, SAME, name)
    })

    describe('in memory', () => {
      it('holds embedding and head once, packed on the plan engine', () => {
        expect(packed.weights.head).toBe(packed.weights.embedding)
        const { q, down } = packed.weights.layers[0]
        for (const matrix of [packed.weights.embedding, q.weight, down.weight])
          expect(matrix instanceof PackedTensor).toBe(engine().executor === 'plan')
      })

      it('takes the bytes of the file on the plan engine', () => {
        const { rotary, all } = packed.weights
        const [positions, headDim] = rotary.shape
        const numbers = all.reduce((sum, { shape }) => sum + shape.reduce((x, y) => x * y, 1), 0)
        if (engine().executor === 'eager') expect(packedBytes).toBe(4 * numbers)
        else {
          // The header and the tokenizer stay out, the table of rotations comes on top.
          expect(packedBytes - 4 * positions * headDim).toBeLessThan(file.length)
          expect(packedBytes).toBeLessThan(0.5 * 4 * numbers)
        }
      })
    })
  },
  'one',
)
