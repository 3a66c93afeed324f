/**
 * Each training form, packed windows and batches in parts, on every executor: gradients by the chain rule from plain
 * LoRA's, the loss of packed documents against that of the same documents apart, and whole steps.
 */

import { expect, it } from 'vitest'
import {
  type Adapter,
  type AdapterForm,
  type LoraFactors,
  loraB,
  loraR,
  withoutCores,
} from '../adapters/adapter.ts'
import { initialAdapter } from '../adapters/initial.ts'
import type { LlamaModel } from '../llama/model.ts'
import { expectNear } from '../testing/close.ts'
import { modelFiles } from '../testing/fixtures.ts'
import { loadLlama } from '../testing/llama.ts'
import { integers, normals } from '../testing/normals.ts'
import { onEveryExecutor } from '../testing/on-every-engine.ts'
import type { TextExample } from '../text/windows.ts'
import { BatchSteps } from './batch-steps.ts'
import { placeAdapter, readAdapter } from './engine-adapter.ts'
import { evaluate } from './evaluate.ts'
import { DEFAULT_RECIPE } from './recipe.ts'
import { hyperParameters } from './schedule.ts'
import { TrainControl, train } from './trainer.ts'

const RANK = 3

const windowOf = (predictions: number, seed: number): TextExample => {
  const counts = new Uint8Array(predictions).map((_, i) => (i < 2 && predictions > 4 ? 0 : 1))
  return {
    ids: integers(predictions + 1, seed, 97),
    counts,
    counted: counts.reduce((sum, count) => sum + count, 0),
  }
}

const LENGTHS = [5, 9, 16, 4, 7, 3]
const examples = LENGTHS.map((length, i) => windowOf(length, 20 + i))
const WHOLE = { batch: 6, tokens: 16 }

/** Numbers in every factor, so that every gradient is one. */
function adapterOf(model: LlamaModel, form: AdapterForm): Adapter {
  const shape = { rank: RANK, alpha: 6, modules: model.modules }
  const modules = new Map<string, LoraFactors>()
  let seed = 1
  for (const factors of initialAdapter(shape, 'forms').modules.values()) {
    const b = normals(factors.b.length, seed++, 0.2)
    const r = normals(RANK * RANK, seed++, 0.5)
    modules.set(factors.name, { ...factors, b, ...(form === 'lora-sb' && { r }) })
  }
  return { modules }
}

onEveryExecutor('training forms', (engine) => {
  let loaded: LlamaModel | undefined
  const nano = async () => {
    loaded ??= (await loadLlama(engine(), modelFiles('nano'))).model
    return loaded
  }

  /** Loss and gradients of the batch, in this shape. */
  async function gradientsOf(adapter: Adapter, form: AdapterForm, shape = WHOLE) {
    const model = await nano()
    const placed = placeAdapter(engine(), adapter, form)
    const program = await engine().program('gradients', model.inputs(shape), (ops, inputs) => ({
      nll: model.lossAndGradients(ops, inputs, shape, placed),
    }))
    const batch = model.collate(examples, shape)
    const { nll } = await program.run(batch.inputs, ['nll'])
    const gradients = await placed.parameters.readGradients()
    program.dispose()
    placed.dispose()
    return { loss: nll.reduce((sum, entry) => sum + entry, 0) / batch.counted, gradients }
  }

  it("FFA has LoRA's gradient of B and none of A", async () => {
    const adapter = adapterOf(await nano(), 'ffa')
    const full = await gradientsOf(adapter, 'lora')
    const { loss, gradients } = await gradientsOf(adapter, 'ffa')
    expect(loss).toBe(full.loss)
    expect([...gradients.keys()]).toEqual([...adapter.modules.keys()].map(loraB))
    for (const [name, gradient] of gradients) expect(gradient).toEqual(full.gradients.get(name))
  })

  it("LoRA-SB has the loss of its folded form, and of R what the chain rule makes of LoRA's gradient", async () => {
    const adapter = adapterOf(await nano(), 'lora-sb')
    const full = await gradientsOf(withoutCores(adapter), 'lora')
    const { loss, gradients } = await gradientsOf(adapter, 'lora-sb')
    expect(loss).toBeCloseTo(full.loss, 5)
    expect([...gradients.keys()]).toEqual([...adapter.modules.keys()].map(loraR))
    for (const { name, outFeatures, b } of adapter.modules.values()) {
      // The folded B is B R, so dR = Bᵀ d(B R).
      const dFolded = full.gradients.get(loraB(name))!
      const expected = new Float64Array(RANK * RANK)
      for (let i = 0; i < RANK; i++)
        for (let j = 0; j < RANK; j++)
          for (let o = 0; o < outFeatures; o++)
            expected[i * RANK + j] += b[o * RANK + i] * dFolded[o * RANK + j]
      expectNear(gradients.get(loraR(name))!, expected, 2e-4, loraR(name))
    }
  })

  it('documents packed into few windows have the loss and the gradients of the same documents apart', async () => {
    const adapter = adapterOf(await nano(), 'lora')
    const apart = await gradientsOf(adapter, 'lora')
    for (const shape of [
      { batch: 3, tokens: 16 },
      { batch: 1, tokens: 48 },
    ]) {
      const packed = await gradientsOf(adapter, 'lora', shape)
      expect(Math.abs(packed.loss - apart.loss)).toBeLessThan(1e-5)
      for (const [name, gradient] of apart.gradients)
        expectNear(packed.gradients.get(name)!, gradient, 2e-4, name)
    }
  })

  it('a batch in parts makes the step of the whole', async () => {
    const model = await nano()
    const initial = adapterOf(model, 'lora')
    const recipe = { ...DEFAULT_RECIPE, steps: 3, batch: WHOLE.batch, tokens: WHOLE.tokens }
    const after = async (windows: number | undefined) => {
      const placed = placeAdapter(engine(), initial)
      const steps = await BatchSteps.create(model, placed, [{ batch: 1, tokens: 16 }, WHOLE], windows)
      const readings = []
      for (let step = 1; step <= 3; step++)
        readings.push((await steps.run(examples, hyperParameters(recipe, step), true)).reading!)
      const adapter = await readAdapter(placed, initial)
      steps.dispose()
      placed.dispose()
      return { windows: steps.windows, readings, adapter }
    }
    const whole = await after(undefined)
    const parts = await after(1)
    expect([whole.windows, parts.windows]).toEqual([6, 1])
    whole.readings.forEach(({ loss, gradientNorm }, i) => {
      expect(parts.readings[i].loss).toBeCloseTo(loss, 4)
      expect(parts.readings[i].gradientNorm / gradientNorm).toBeCloseTo(1, 3)
    })
    for (const [name, { b }] of whole.adapter.modules)
      expectNear(parts.adapter.modules.get(name)!.b, b, 2e-3, name)
  })

  it.each(['ffa', 'lora-sb'] as const)(
    '%s trains what it trains and leaves the rest to the bit',
    async (form) => {
      const model = await nano()
      const started = adapterOf(model, form)
      const run = train({
        model,
        initial: started,
        form,
        examples,
        heldOut: [],
        recipe: { ...DEFAULT_RECIPE, steps: 6, batch: 6, tokens: 16, learningRate: 0.02 },
        seed: 'forms',
        control: new TrainControl(),
      })
      const before = await evaluate(model, started, examples, WHOLE)
      let next = await run.next()
      while (!next.done) next = await run.next()
      const { adapter } = next.value
      expect((await evaluate(model, adapter, examples, WHOLE)).loss).toBeLessThan(before.loss)
      for (const [name, { a, b, r }] of adapter.modules) {
        const start = started.modules.get(name)!
        expect(a).toEqual(start.a)
        if (form === 'lora-sb') {
          expect(b).toEqual(start.b)
          expect(r).not.toEqual(start.r)
        } else expect(b).not.toEqual(start.b)
      }
    },
  )
})
