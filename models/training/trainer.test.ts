/**
 * The trainer: learns, keeps the best, stops, pauses and resumes to the same bits, leaks nothing, and trains
 * one client as if there were no other.
 */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Adapter } from '../adapters/adapter.ts'
import { initialAdapter } from '../adapters/initial.ts'
import type { Engine } from '../backend/engine.ts'
import { createNodeEngine } from '../backend/node.ts'
import type { LlamaModel } from '../llama/model.ts'
import { fixtureBytes, modelFiles } from '../testing/fixtures.ts'
import { loadLlama } from '../testing/llama.ts'
import { integers } from '../testing/normals.ts'
import { onEveryExecutor } from '../testing/on-every-engine.ts'
import type { TextExample } from '../text/windows.ts'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts'
import { DEFAULT_RECIPE, type Recipe } from './recipe.ts'
import { measureStepSeconds } from './step-time.ts'
import {
  evaluate,
  TrainControl,
  type TrainOptions,
  type TrainProgress,
  type TrainResult,
  train,
} from './trainer.ts'

const recipe: Recipe = {
  ...DEFAULT_RECIPE,
  steps: 8,
  batch: 2,
  tokens: 16,
  learningRate: 0.02,
  evaluateEvery: 3,
}

/** Windows over a small cycle of ids, so that there is something to learn; the last ones are shorter. */
function windows(count: number, seed: number): TextExample[] {
  return Array.from({ length: count }, (_, i) => {
    const [start] = integers(1, seed + i, 90)
    const predictions = i % 3 === 2 ? 9 : 16
    const ids = Int32Array.from({ length: predictions + 1 }, (_, t) => (start + (seed % 5) * t) % 97)
    return { ids, counts: new Uint8Array(predictions).fill(1), counted: predictions }
  })
}

type Options = TrainOptions<TextExample>

/** Follows a run to its end. */
async function runToEnd(options: Options, each?: (progress: TrainProgress) => void) {
  const progress: TrainProgress[] = []
  const run = train(options)
  for (;;) {
    const next = await run.next()
    if (next.done) return { result: next.value, progress }
    progress.push(next.value)
    each?.(next.value)
  }
}

const numbers = (adapter: Adapter) => [...adapter.modules.values()].map(({ a, b }) => [a, b])

function optionsFor(model: LlamaModel, seed = 1): Options {
  const shape = { rank: 2, alpha: 4, modules: model.modules }
  return {
    model,
    initial: initialAdapter(shape, 'room'),
    examples: windows(7, seed),
    heldOut: windows(3, seed + 50),
    recipe,
    seed: `client ${seed}`,
  }
}

describe('training on wasm', () => {
  let engine: Engine
  let model: LlamaModel

  beforeAll(async () => {
    engine = await createNodeEngine({ backend: 'wasm' })
    model = (await loadLlama(engine, modelFiles('nano'))).model
  })

  afterAll(async () => {
    model.dispose()
    await engine.dispose()
  })

  it('learns, reports every step and returns the adapter of its best measurement', async () => {
    const options = { ...optionsFor(model), recipe: { ...recipe, steps: 30, evaluateEvery: 10 } }
    const shape = { batch: 2, tokens: 16 }
    const before = await evaluate(model, null, options.heldOut, shape)
    const { result, progress } = await runToEnd(options)
    expect(progress.map(({ step }) => step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
    expect(progress.at(-1)!.loss).toBeLessThan(progress[0].loss / 2)
    for (const { loss, gradientNorm, tokensPerSecond, secondsLeft, learningRate, steps } of progress) {
      for (const number of [loss, gradientNorm, tokensPerSecond, learningRate])
        expect(number).toBeGreaterThan(0)
      expect(secondsLeft).toBeGreaterThanOrEqual(0)
      expect(steps).toBe(30)
    }
    expect(result.startLoss).toBeCloseTo(before.loss, 5)
    expect(progress.map(({ heldOutLoss }) => heldOutLoss).slice(0, 9)).toEqual(
      new Array(9).fill(result.startLoss),
    )
    expect(progress.at(-1)!.secondsLeft).toBe(0)
    expect(result.stopped).toBe(false)
    expect(result.steps).toBe(30)
    expect(result.examples).toBe(7)
    // 60 windows in shuffled epochs of 7: 8 whole epochs and 4 more windows of 9 or 16 predictions.
    const epoch = 5 * 16 + 2 * 9
    expect(result.tokens).toBeGreaterThanOrEqual(8 * epoch + 2 * 16 + 2 * 9)
    expect(result.tokens).toBeLessThanOrEqual(8 * epoch + 4 * 16)
    const after = await evaluate(model, result.adapter, options.heldOut, shape)
    expect(after.loss).toBe(result.best.heldOutLoss)
    expect(after.loss).toBeLessThan(before.loss)
    expect(after.counted).toBe(16 + 16 + 9)
    const measured = new Set(progress.map(({ heldOutLoss }) => heldOutLoss).filter((loss) => loss !== null))
    expect(result.best.heldOutLoss).toBe(Math.min(...measured))
  })

  it('takes the time of a step without touching a run', async () => {
    const options = { ...optionsFor(model), recipe: { ...recipe, steps: 2 } }
    const { result: undisturbed } = await runToEnd(options)
    const before = engine.memory()
    expect(await measureStepSeconds(options)).toBeGreaterThan(0)
    const stopped = new TrainControl()
    stopped.stop()
    expect(await measureStepSeconds({ ...options, control: stopped })).toBeNull()
    expect(engine.memory()).toEqual(before)
    const { result } = await runToEnd(options)
    expect(numbers(result.adapter)).toEqual(numbers(undisturbed.adapter))
  })

  it('keeps an earlier adapter when held-out loss rises afterwards', async () => {
    // Held-out text that contradicts the training text: every step past the first measurements makes it worse.
    const options = optionsFor(model)
    const heldOut = options.examples.map(({ ids, counts, counted }) => ({
      ids: ids.map((id, t) => (t % 2 ? (id + 40) % 97 : id)),
      counts,
      counted,
    }))
    const { result, progress } = await runToEnd({
      ...options,
      heldOut,
      recipe: { ...recipe, steps: 24, evaluateEvery: 1, learningRate: 0.05 },
    })
    expect(result.best.step).toBeLessThan(24)
    expect(progress.at(-1)!.heldOutLoss).toBeGreaterThan(result.best.heldOutLoss!)
    const again = await evaluate(model, result.adapter, heldOut, { batch: 2, tokens: 16 })
    expect(again.loss).toBe(result.best.heldOutLoss)
  })

  it('without held-out examples returns the last adapter', async () => {
    const { result } = await runToEnd({ ...optionsFor(model), heldOut: [] })
    expect(result.best).toEqual({ step: 8, heldOutLoss: null })
    expect(numbers(result.adapter)).not.toEqual(numbers(optionsFor(model).initial))
  })

  it('two clients in either order give the same bits, and differ from each other', async () => {
    const one = (await runToEnd(optionsFor(model, 1))).result.adapter
    const two = (await runToEnd(optionsFor(model, 2))).result.adapter
    const twoFirst = (await runToEnd(optionsFor(model, 2))).result.adapter
    const oneSecond = (await runToEnd(optionsFor(model, 1))).result.adapter
    expect(numbers(oneSecond)).toEqual(numbers(one))
    expect(numbers(twoFirst)).toEqual(numbers(two))
    expect(numbers(one)).not.toEqual(numbers(two))
  })

  it('leaves the initial adapter as it was', async () => {
    const options = optionsFor(model)
    await runToEnd(options)
    expect(numbers(options.initial)).toEqual(numbers(optionsFor(model).initial))
  })

  it('stops early, measures and returns what it has', async () => {
    const control = new TrainControl()
    const { result } = await runToEnd({ ...optionsFor(model), control }, ({ step }) => {
      if (step === 4) control.stop()
    })
    expect(result.stopped).toBe(true)
    expect(result.steps).toBe(4)
    expect(result.best.heldOutLoss).toBeTypeOf('number')
  })

  it('stops before the first step with the initial adapter', async () => {
    const control = new TrainControl()
    control.stop()
    const { result, progress } = await runToEnd({ ...optionsFor(model), control })
    expect(progress).toEqual([])
    expect(numbers(result.adapter)).toEqual(numbers(optionsFor(model).initial))
  })

  it('pauses between steps, saves, and goes on to the same bits', async () => {
    const control = new TrainControl()
    const saved: Checkpoint[] = []
    let ended = false
    const paused = runToEnd(
      {
        ...optionsFor(model),
        control,
        checkpoints: { everyMs: Number.POSITIVE_INFINITY, save: (c) => void saved.push(c) },
      },
      ({ step }) => {
        if (step === 3) control.pause()
      },
    ).then((outcome) => {
      ended = true
      return outcome
    })
    await vi.waitFor(() => expect(saved.map(({ step }) => step)).toEqual([3]), { timeout: 60_000 })
    // Time for a step or two, if the pause did not hold.
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(ended).toBe(false)
    expect(saved).toHaveLength(1)
    control.resume()
    const { result } = await paused
    expect(numbers(result.adapter)).toEqual(numbers((await runToEnd(optionsFor(model))).result.adapter))
  })

  it('says so when the loss is no longer a number', async () => {
    const run = runToEnd({ ...optionsFor(model), recipe: { ...recipe, learningRate: 1e30, maxNorm: 0 } })
    await expect(run).rejects.toMatchObject({ code: 'training/diverged', message: /learning rate/ })
  })

  it('refuses no examples, a senseless recipe and an adapter of another base', async () => {
    const options = optionsFor(model)
    await expect(runToEnd({ ...options, examples: [] })).rejects.toMatchObject({ code: 'data/empty' })
    await expect(runToEnd({ ...options, recipe: { ...recipe, beta1: 1 } })).rejects.toMatchObject({
      code: 'recipe/invalid',
    })
    await expect(runToEnd({ ...options, recipe: { ...recipe, steps: 1.5 } })).rejects.toMatchObject({
      code: 'recipe/invalid',
    })
    const modules = [{ ...model.modules[0], inFeatures: 7 }]
    const foreign = initialAdapter({ rank: 2, alpha: 4, modules }, 'room')
    await expect(runToEnd({ ...options, initial: foreign })).rejects.toMatchObject({
      code: 'adapter/wrong-shape',
    })
  })

  it('frees everything when its follower leaves early', async () => {
    const before = engine.memory()
    for await (const { step } of train(optionsFor(model))) if (step === 2) break
    expect(engine.memory()).toEqual(before)
  })

  describe('checkpoints', () => {
    let checkpoint: Checkpoint

    beforeAll(async () => {
      const control = new TrainControl()
      const saved: Checkpoint[] = []
      await runToEnd({ ...optionsFor(model), checkpoints: { everyMs: 0, save: (c) => void saved.push(c) } })
      expect(saved.length).toBe(8)
      checkpoint = saved[4]
      expect(control.stopped).toBe(false)
    })

    it('survive as bytes', () => {
      expect(checkpoint.step).toBe(5)
      expect(checkpoint.best?.step).toBe(3)
      expect(decodeCheckpoint(encodeCheckpoint(checkpoint))).toEqual(checkpoint)
    })

    it('are refused where they are cut, foreign or not of this run', async () => {
      const bytes = encodeCheckpoint(checkpoint)
      expect(() => decodeCheckpoint(bytes.subarray(0, bytes.length - 4))).toThrow()
      expect(() => decodeCheckpoint(fixtureBytes('nano/loss.safetensors'))).toThrow(
        expect.objectContaining({ code: 'checkpoint/malformed' }),
      )
      const other = { ...optionsFor(model), resume: checkpoint }
      for (const changed of [
        { ...other, seed: 'another' },
        { ...other, recipe: { ...recipe, steps: 9 } },
        { ...other, examples: windows(6, 1) },
      ]) {
        await expect(runToEnd(changed)).rejects.toMatchObject({ code: 'checkpoint/other-run' })
      }
    })
  })
})

onEveryExecutor('training', (engine) => {
  let model: LlamaModel

  beforeAll(async () => {
    model = (await loadLlama(engine(), modelFiles('nano'))).model
  })

  afterAll(() => model.dispose())

  it('resumes from a checkpoint to the bits of a run that was never interrupted', async () => {
    const saved: Uint8Array[] = []
    const whole = await runToEnd({
      ...optionsFor(model),
      checkpoints: { everyMs: 0, save: (c) => void saved.push(encodeCheckpoint(c)) },
    })
    const resume = saved.map(decodeCheckpoint).find(({ step }) => step >= 4 && step < recipe.steps)!
    const rest: { result: TrainResult; progress: TrainProgress[] } = await runToEnd({
      ...optionsFor(model),
      resume,
    })
    expect(rest.progress[0].step).toBeGreaterThan(4)
    expect(numbers(rest.result.adapter)).toEqual(numbers(whole.result.adapter))
    expect(rest.result.best).toEqual(whole.result.best)
    expect(rest.result.tokens).toBe(whole.result.tokens)
    expect(rest.progress.at(-1)!.loss).toBe(whole.progress.at(-1)!.loss)
  }, 120_000)

  it('leaks nothing: tensors, buffers and bytes are as before', async () => {
    await runToEnd(optionsFor(model))
    const before = engine().memory()
    const during: number[] = []
    await runToEnd(optionsFor(model), () => during.push(engine().memory().bytes))
    expect(engine().memory()).toEqual(before)
    // Within a run memory stands still too, once the optimiser's first step has made its slots.
    expect(new Set(during.slice(1)).size).toBe(1)
  }, 120_000)
})
